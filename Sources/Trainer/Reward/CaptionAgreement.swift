#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// How well a caption agrees with those that people gave a picture: CIDEr-D (arXiv 1411.5726).
///
/// Cosines of counts of one to four words in a row, each weighed by how few pictures it is said of; a word that is said
/// more often than in a reference counts no further, and a length of its own is punished. The end of a caption counts as
/// a word, or else captions that break off would be as good (arXiv 2003.09971). Words are what is between spaces and
/// marks, in small letters.
package struct CaptionAgreement {
  private static let longest = 4
  /// Of the differences in length that are let pass.
  private static let deviation = 6.0

  private struct Vector {
    /// For each length its rows of words in the order in which they come, so that sums have one order.
    var rows: [[[String]]]
    /// For each length the weights of its rows.
    var weights: [[[String]: Double]]
    var norms: [Double]
    var length: Int
  }

  private var frequencies: [[String]: Int] = [:]
  private let pictures: Double

  /// Counts of how many pictures each row of words is said. O(text).
  ///
  /// - Parameter captions: of each picture those that people gave.
  package init(_ captions: [[String]]) {
    pictures = log(Double(max(captions.count, 1)))
    for picture in captions {
      let rows = Set(picture.flatMap { Self.rows(Self.words($0, ends: true)).joined() })
      for row in rows { frequencies[row, default: 0] += 1 }
    }
  }

  /// 0 to 10, the most where all references say the same as the caption.
  ///
  /// - Parameters:
  ///   - caption: what was said.
  ///   - ends: whether it came to its end.
  ///   - references: what people said.
  /// - Complexity: O(words of all).
  package func score(_ caption: String, ends: Bool, references: [String]) -> Double {
    guard !references.isEmpty else { return 0 }
    let own = vector(Self.words(caption, ends: ends))
    let total = references.reduce(0) { $0 + similarity(own, vector(Self.words($1, ends: true))) }
    return 10 * total / Double(references.count * Self.longest)
  }

  private static func words(_ caption: String, ends: Bool) -> [String] {
    let words = caption.lowercased().split { !$0.isLetter && !$0.isNumber }
    return words.map(String.init) + (ends ? ["."] : [])
  }

  /// All rows of one, two, three and four words.
  private static func rows(_ words: [String]) -> [[[String]]] {
    (1...longest).map { length in
      words.count < length ? [] : (0...words.count - length).map { Array(words[$0..<$0 + length]) }
    }
  }

  private func vector(_ words: [String]) -> Vector {
    var vector = Vector(rows: [], weights: [], norms: [], length: words.count)
    for rows in Self.rows(words) {
      var order: [[String]] = [], weights: [[String]: Double] = [:]
      for row in rows {
        if weights[row] == nil { order.append(row) }
        weights[row, default: 0] += max(0, pictures - log(Double(max(frequencies[row] ?? 0, 1))))
      }
      vector.rows.append(order)
      vector.norms.append(sqrt(order.reduce(0) { $0 + (weights[$1] ?? 0) * (weights[$1] ?? 0) }))
      vector.weights.append(weights)
    }
    return vector
  }

  /// The sum over lengths of rows.
  private func similarity(_ own: Vector, _ other: Vector) -> Double {
    let difference = Double(own.length - other.length) / Self.deviation
    return exp(-difference * difference / 2)
      * (0..<Self.longest).reduce(0) { total, length in
        let product = own.rows[length].reduce(0) { sum, row in
          let mine = own.weights[length][row] ?? 0, weight = other.weights[length][row] ?? 0
          return sum + min(mine, weight) * weight
        }
        let norms = own.norms[length] * other.norms[length]
        return norms > 0 ? total + product / norms : total
      }
  }
}

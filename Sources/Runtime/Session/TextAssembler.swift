/// Turns the bytes of tokens into text that can be shown at once: whole characters only, and no
/// part of a stop string.
package struct TextAssembler: Sendable {
  private let stops: [[UInt8]]
  private var pending: [UInt8] = []
  /// Whether a stop string was met; nothing follows it.
  package private(set) var isStopped = false

  /// Empty stop strings are ignored.
  package init(stops: [String] = []) {
    self.stops = stops.filter { !$0.isEmpty }.map { Array($0.utf8) }
  }

  /// Takes the bytes of a token and gives the text that is certain by now.
  ///
  /// - Complexity: O(held bytes * stop strings); at most a stop string and a character are held.
  package mutating func append(_ bytes: [UInt8]) -> String {
    guard !isStopped else { return "" }
    pending += bytes
    if let end = stopStart() {
      isStopped = true
      return take(end, final: true)
    }
    return take(pending.count - heldByStops(), final: false)
  }

  /// What is left when generation ends otherwise. Bytes that are no UTF-8 become U+FFFD.
  package mutating func finish() -> String {
    isStopped ? "" : take(pending.count, final: true)
  }

  /// Where the first stop string begins, if one is complete.
  private func stopStart() -> Int? {
    stops.compactMap { stop in
      pending.indices.first { pending[$0...].starts(with: stop) }
    }.min()
  }

  /// Bytes at the end that may turn out to begin a stop string.
  private func heldByStops() -> Int {
    stops.map { stop in
      (1..<max(1, min(stop.count, pending.count + 1))).last {
        pending.suffix($0).elementsEqual(stop.prefix($0))
      } ?? 0
    }.max() ?? 0
  }

  private mutating func take(_ count: Int, final: Bool) -> String {
    let end = final ? count : Self.wholeCharacters(pending[..<count])
    let text = String(decoding: pending[..<end], as: UTF8.self)
    pending = final ? [] : Array(pending[end...])
    return text
  }

  /// How many bytes make characters that no later byte can change: neither a cut UTF-8 sequence nor
  /// the parts of an emoji that is still being joined are among them.
  private static func wholeCharacters(_ bytes: ArraySlice<UInt8>) -> Int {
    var end = bytes.endIndex
    // Back to the lead byte of the last sequence, at most three continuation bytes before.
    var lead = end - 1
    while lead > bytes.startIndex, end - lead < 4, bytes[lead] & 0xC0 == 0x80 { lead -= 1 }
    if lead >= bytes.startIndex, bytes[lead] >= 0xC0, end - lead < sequenceLength(bytes[lead]) { end = lead }
    let text = String(decoding: bytes[..<end], as: UTF8.self)
    // Bytes that are no UTF-8 take another length in the text: they are not held.
    guard let last = text.last, let scalar = last.unicodeScalars.last, joins(scalar),
      text.utf8.elementsEqual(bytes[..<end])
    else { return end }
    return end - last.utf8.count
  }

  private static func sequenceLength(_ lead: UInt8) -> Int {
    lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2
  }

  /// Zero-width joiner, and regional indicators, which make flags in pairs.
  private static func joins(_ scalar: Unicode.Scalar) -> Bool {
    scalar.value == 0x200D || (0x1F1E6...0x1F1FF).contains(scalar.value)
  }
}

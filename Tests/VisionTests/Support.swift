import Foundation
import Testing

/// The bytes of a file in Fixtures; empty where it is missing, which the tests then notice.
func fixture(_ name: String) -> Data {
  (try? Data(contentsOf: URL(filePath: fixturePath(name)))) ?? Data()
}

func fixturePath(_ name: String) -> String {
  Bundle.module.resourceURL?.appending(path: "Fixtures/\(name)").path(percentEncoded: false) ?? name
}

/// The largest difference of two pictures; 255 where their sizes differ.
func difference(_ a: [UInt8], _ b: [UInt8]) -> Int {
  guard a.count == b.count, !a.isEmpty else { return 255 }
  return zip(a, b).map { abs(Int($0) - Int($1)) }.max() ?? 255
}

/// The cosine of the angle between two vectors; 0 where their lengths differ.
func cosine(_ a: [Float], _ b: [Float]) -> Double {
  guard a.count == b.count else { return 0 }
  var product = 0.0, left = 0.0, right = 0.0
  for (x, y) in zip(a, b) {
    product += Double(x) * Double(y)
    left += Double(x) * Double(x)
    right += Double(y) * Double(y)
  }
  return product / (left * right).squareRoot()
}

extension GGUFFile {
  /// A digest of the names, types and places of all tensors, the lengths of the files and when they
  /// were written, and samples of their bytes: models that differ in weights differ in it.
  ///
  /// - Complexity: O(tensors); some 4 KB are read at 256 places of each file.
  package func contentDigest() -> UInt64 {
    let piece = 4_096, samples = 256
    var digest = Digest()
    for tensor in tensors {
      digest.add(tensor.name)
      digest.add(UInt64(tensor.type.rawValue))
      digest.add(UInt64(tensor.range.lowerBound))
      for size in tensor.shape { digest.add(UInt64(size)) }
    }
    for part in parts {
      digest.add(UInt64(part.count))
      digest.add(UInt64(bitPattern: Int64(part.modified)))
      let last = max(0, part.count - piece)
      for sample in 0..<samples {
        let start = last / samples * sample + last % samples * sample / samples
        part.withBytes(start..<min(part.count, start + piece)) { digest.update($0) }
      }
      part.withBytes(last..<part.count) { digest.update($0) }
    }
    return digest.value
  }
}

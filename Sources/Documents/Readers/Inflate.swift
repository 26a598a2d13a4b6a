import CZlib

/// Decompresses raw deflate data (RFC 1951) with the system's zlib; the one file that calls it.
enum Inflate {
  /// Output that a file may take however small it is, in bytes.
  static let freeBytes = 16 << 20
  /// Output beyond `freeBytes` that a byte of input may take; deflate itself reaches 1,032.
  static let maximumRatio = 200
  /// Output that no file may exceed, in bytes.
  static let maximumBytes = 256 << 20

  /// The decompressed bytes.
  ///
  /// - Complexity: O(output), which is at most `maximumBytes`.
  /// - Throws: `ReadError.bomb` for output beyond the limits, `.damaged` for data that is no
  ///   complete deflate stream.
  static func bytes(_ input: ArraySlice<UInt8>) throws(ReadError) -> [UInt8] {
    let limit = min(maximumBytes, freeBytes + input.count * maximumRatio)
    var stream = unsafe z_stream()
    let size = Int32(unsafe MemoryLayout<z_stream>.size)
    guard unsafe inflateInit2_(&stream, -MAX_WBITS, ZLIB_VERSION, size) == Z_OK else {
      throw .damaged(format: "ZIP", problem: "cannot be decompressed for lack of memory")
    }
    defer { unsafe inflateEnd(&stream) }
    return try unsafe drain(&stream, input: Array(input), limit: limit)
  }

  private static func drain(
    _ stream: inout z_stream, input: [UInt8], limit: Int
  ) throws(ReadError) -> [UInt8] {
    var input = input
    var output: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 64 << 10)
    guard let available = UInt32(exactly: input.count) else { throw .bomb(limit: limit) }
    let pieceCount = UInt32(piece.count)
    // The pointers are taken and used within one call; zlib writes to `piece` alone.
    let status = unsafe input.withUnsafeMutableBufferPointer { source -> Int32 in
      unsafe stream.next_in = source.baseAddress
      unsafe stream.avail_in = available
      var status = Z_OK
      while status == Z_OK, output.count <= limit {
        let produced = unsafe piece.withUnsafeMutableBufferPointer { target -> Int in
          unsafe stream.next_out = target.baseAddress
          unsafe stream.avail_out = pieceCount
          status = unsafe inflate(&stream, Z_NO_FLUSH)
          return unsafe Int(pieceCount - stream.avail_out)
        }
        output.append(contentsOf: piece[..<produced])
      }
      return status
    }
    guard output.count <= limit else { throw .bomb(limit: limit) }
    guard status == Z_STREAM_END else {
      throw .damaged(format: "ZIP", problem: "holds compressed data that is cut short or wrong")
    }
    return output
  }
}

import DuetRuntime

/// A matrix of floats within a buffer: `rows` rows of `columns` values, `stride` apart.
package struct Block: Sendable {
  package let buffer: FloatBuffer
  package let offset: Int
  package let rows: Int
  package let columns: Int
  package let stride: Int

  /// - Precondition: the block lies within the buffer.
  package init(_ buffer: FloatBuffer, at offset: Int = 0, rows: Int, columns: Int, stride: Int? = nil) {
    let stride = stride ?? columns
    precondition(rows >= 0 && columns >= 0 && stride >= columns && offset >= 0, "no such block")
    let end = rows == 0 ? offset : offset + (rows - 1) * stride + columns
    precondition(end <= buffer.count, "block outside of the buffer")
    self.buffer = buffer
    self.offset = offset
    self.rows = rows
    self.columns = columns
    self.stride = stride
  }

  /// Some of the rows.
  package func rows(_ range: Range<Int>) -> Block {
    precondition(range.lowerBound >= 0 && range.upperBound <= rows, "rows outside of the block")
    return Block(
      buffer, at: offset + range.lowerBound * stride, rows: range.count, columns: columns, stride: stride)
  }

  /// Some of the columns.
  package func columns(_ range: Range<Int>) -> Block {
    precondition(range.lowerBound >= 0 && range.upperBound <= columns, "columns outside of the block")
    return Block(buffer, at: offset + range.lowerBound, rows: rows, columns: range.count, stride: stride)
  }

  /// Where a row lies in the buffer.
  package func range(_ row: Int) -> Range<Int> {
    precondition(row >= 0 && row < rows, "row outside of the block")
    return offset + row * stride..<offset + row * stride + columns
  }
}

/// A weight matrix where it lies in the mapped file: `rows` rows of `columns` values. One reference, for every step passes
/// matrices on.
@safe package final class Matrix: Sendable {
  package let name: String
  package let type: TensorType
  package let rows: Int
  package let columns: Int
  /// Where the rows lie among those of the tensor, where this is a part of it.
  let firstRow: Int
  /// Rows of the tensor.
  let tensorRows: Int
  /// Bytes from one row to the next.
  package let rowBytes: Int
  /// How the rows lie, compared with GGUF's.
  let rowOrder: RowOrder
  private let file: MappedFile
  private let range: Range<Int>

  /// A view of a tensor's values; of three or four dimensions all but the first count as rows.
  ///
  /// - Throws: `GGUFError.unknownTensorType` for types that are no weights.
  package init(_ tensor: TensorInfo) throws(GGUFError) {
    guard tensor.type.isWeight else {
      throw .unknownTensorType(path: tensor.file.path, tensor: tensor.name, type: tensor.type.rawValue)
    }
    name = tensor.name
    type = tensor.type
    rows = tensor.rows
    columns = tensor.columns
    firstRow = 0
    tensorRows = tensor.rows
    rowBytes = tensor.type.rowBytes(tensor.columns)
    rowOrder = tensor.rowOrder
    file = tensor.file
    range = tensor.range
  }

  /// A view of some of the rows, which must lie within the matrix.
  package func rows(_ rows: Range<Int>) -> Matrix {
    precondition(rows.lowerBound >= 0 && rows.upperBound <= self.rows, "rows outside of the matrix")
    return Matrix(self, rows)
  }

  private init(_ whole: Matrix, _ rows: Range<Int>) {
    name = whole.name
    type = whole.type
    self.rows = rows.count
    columns = whole.columns
    firstRow = whole.firstRow + rows.lowerBound
    tensorRows = whole.tensorRows
    rowBytes = whole.rowBytes
    rowOrder = whole.rowOrder
    file = whole.file
    let start = whole.range.lowerBound + rows.lowerBound * whole.rowBytes
    range = start..<start + rows.count * whole.rowBytes
  }

  /// Bytes in the file.
  package var byteCount: Int { range.count }

  /// The type as the kernels number it.
  var typeNumber: Int32 { Int32(type.rawValue) }

  /// The bytes of some rows, for the kernels; valid while a copy of the matrix lives.
  @unsafe func pointer(rows: Range<Int>) -> UnsafeRawPointer {
    precondition(rows.lowerBound >= 0 && rows.upperBound <= self.rows, "rows outside of the matrix")
    let start = range.lowerBound + rows.lowerBound * rowBytes
    return unsafe file.pointer(start..<start + rows.count * rowBytes)
  }
}

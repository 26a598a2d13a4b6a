extension AsyncThrowingStream where Failure == any Error {
  /// A stream of what `body` yields, in a task of its own that ends when nobody reads the stream.
  package static func task(
    _ body: @escaping @Sendable (_ yield: @escaping @Sendable (Element) -> Void) async throws -> Void
  ) -> Self where Element: Sendable {
    Self { continuation in
      let task = Task {
        do {
          try await body { continuation.yield($0) }
          continuation.finish()
        } catch {
          continuation.finish(throwing: error)
        }
      }
      continuation.onTermination = { _ in task.cancel() }
    }
  }
}

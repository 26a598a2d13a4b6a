import Foundation
import Synchronization

#if canImport(FoundationNetworking)
  import FoundationNetworking
#endif

/// One request and its answer, written to the part as it comes.
final class Transfer: NSObject, URLSessionDataDelegate, Sendable {
  enum Outcome: Sendable {
    /// All bytes are there; the digest is the one that the server told, if it did.
    case complete(digest: String?)
    case failed(DownloadError)
  }

  private struct State {
    var total: Int?
    var digest: String?
    var error: DownloadError?
    var continuation: CheckedContinuation<Outcome, Never>?
  }

  private let download: Download
  private let address: URL
  private let part: PartialFile
  private let progress: @Sendable (Int, Int?) -> Void
  private let state = Mutex(State())

  init(
    _ download: Download, _ address: URL, _ part: PartialFile,
    _ progress: @escaping @Sendable (Int, Int?) -> Void
  ) {
    self.download = download
    self.address = address
    self.part = part
    self.progress = progress
  }

  func run() async -> Outcome {
    let configuration = URLSessionConfiguration.ephemeral
    configuration.timeoutIntervalForRequest = download.patience
    configuration.httpMaximumConnectionsPerHost = 1
    let session = URLSession(configuration: configuration, delegate: self, delegateQueue: nil)
    let task = session.dataTask(with: request())
    defer { session.finishTasksAndInvalidate() }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        state.withLock { $0.continuation = continuation }
        task.resume()
      }
    } onCancel: {
      task.cancel()
    }
  }

  private func request() -> URLRequest {
    var request = URLRequest(url: address)
    // A body that is packed for the way has another length than the file.
    request.setValue("identity", forHTTPHeaderField: "Accept-Encoding")
    if let token = download.token { request.setValue("Bearer \(token)", forHTTPHeaderField: "Authorization") }
    if part.count > 0, let mark = part.mark {
      request.setValue("bytes=\(part.count)-", forHTTPHeaderField: "Range")
      if !mark.isEmpty { request.setValue(mark, forHTTPHeaderField: "If-Range") }
    }
    return request
  }

  // MARK: What the session reports

  func urlSession(
    _ session: URLSession, task: URLSessionTask, willPerformHTTPRedirection response: HTTPURLResponse,
    newRequest request: URLRequest, completionHandler: @escaping (URLRequest?) -> Void
  ) {
    note(digestOf: response)
    var request = request
    // A token is for the host it was given for.
    if request.url?.host != address.host { request.setValue(nil, forHTTPHeaderField: "Authorization") }
    for name in ["Range", "If-Range", "Accept-Encoding"] {
      request.setValue(self.request().value(forHTTPHeaderField: name), forHTTPHeaderField: name)
    }
    completionHandler(request)
  }

  func urlSession(
    _ session: URLSession, dataTask: URLSessionDataTask, didReceive response: URLResponse,
    completionHandler: @escaping (URLSession.ResponseDisposition) -> Void
  ) {
    do {
      try begin(response)
      completionHandler(.allow)
    } catch {
      state.withLock { $0.error = error }
      completionHandler(.cancel)
    }
  }

  func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
    let (total, failed) = state.withLock { ($0.total, $0.error != nil) }
    guard !failed else { return }
    do throws(DownloadError) {
      if let total, part.count + data.count > total { throw .tooLong(url: download.url, expected: total) }
      try part.append(data)
      progress(part.count, total)
    } catch {
      state.withLock { $0.error = error }
      dataTask.cancel()
    }
  }

  func urlSession(_ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?) {
    let outcome = outcome(error)
    let continuation = state.withLock { state in
      defer { state.continuation = nil }
      return state.continuation
    }
    continuation?.resume(returning: outcome)
  }

  // MARK: What it means

  /// Decides whether the answer goes on where the part ends, or begins anew.
  private func begin(_ response: URLResponse) throws(DownloadError) {
    guard let response = response as? HTTPURLResponse else { return }
    note(digestOf: response)
    let length = response.value(forHTTPHeaderField: "Content-Length").flatMap { Int($0) }.flatMap {
      $0 >= 0 ? $0 : nil
    }
    switch response.statusCode {
    case 206:
      guard let (start, total) = Self.range(response), start == part.count else {
        // The server's idea of what is there is not ours.
        try part.restart(mark: nil)
        throw .interrupted(url: download.url, received: 0, total: nil, problem: "another part than asked for")
      }
      state.withLock { $0.total = total ?? length.map { $0 + start } }
    case 200:
      let mark =
        response.value(forHTTPHeaderField: "ETag") ?? response.value(forHTTPHeaderField: "Last-Modified")
      // A weak mark does not vouch for bytes.
      try part.restart(mark: mark?.hasPrefix("W/") == true ? nil : mark)
      state.withLock { $0.total = length }
    case 416:
      try part.restart(mark: nil)
      throw .interrupted(url: download.url, received: 0, total: nil, problem: "the file has changed")
    default: throw .refused(url: download.url, status: response.statusCode)
    }
    if let total = state.withLock({ $0.total }) { try download.checkSpace(total - part.count) }
  }

  /// `Content-Range: bytes 100-199/200`: where it starts, and how many bytes there are in all.
  private static func range(_ response: HTTPURLResponse) -> (start: Int, total: Int?)? {
    guard let text = response.value(forHTTPHeaderField: "Content-Range"), text.hasPrefix("bytes ") else {
      return nil
    }
    let parts = text.dropFirst(6).split(separator: "/")
    guard parts.count == 2, let start = parts[0].split(separator: "-").first.flatMap({ Int($0) }), start >= 0
    else { return nil }
    return (start, Int(parts[1]))
  }

  /// Hubs of models tell a file's SHA-256 as the mark of what they link to.
  private func note(digestOf response: HTTPURLResponse) {
    let mark = response.value(forHTTPHeaderField: "X-Linked-ETag")?.filter { $0 != "\"" }.lowercased()
    guard let mark, mark.count == 64, mark.allSatisfy(\.isHexDigit) else { return }
    state.withLock { $0.digest = mark }
  }

  private func outcome(_ error: (any Error)?) -> Outcome {
    let (total, digest, failure) = state.withLock { ($0.total, $0.digest, $0.error) }
    if let failure { return .failed(failure) }
    let isShort = total.map { part.count < $0 } ?? false
    guard error != nil || isShort else { return .complete(digest: digest) }
    let problem = error?.localizedDescription ?? "the connection was closed"
    return .failed(.interrupted(url: download.url, received: part.count, total: total, problem: problem))
  }
}

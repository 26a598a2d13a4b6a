import Foundation
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A server on the loopback interface that answers each connection as it is told to, rightly or not.
final class LoopbackServer: Sendable {
  /// What is sent for a request, and what then happens to the connection.
  struct Answer: Sendable {
    var head: String
    var body: [UInt8] = []
    /// Seconds for which the connection stays open and silent.
    var silence = 0.0
  }

  let port: UInt16
  private let listener: Int32
  private let answer: @Sendable (_ request: Request) -> Answer
  private let seen = Mutex<[Request]>([])

  struct Request: Sendable {
    /// From 0.
    let number: Int
    let text: String

    /// The value of a header, or nil.
    func header(_ name: String) -> String? {
      let lines = text.split(separator: "\r\n")
      let line = lines.first { $0.lowercased().hasPrefix(name.lowercased() + ":") }
      return line.map { $0.drop { $0 != ":" }.dropFirst().trimmingCharacters(in: .whitespaces) }
    }

    /// Where `Range: bytes=N-` starts.
    var start: Int? {
      header("Range").flatMap { $0.hasPrefix("bytes=") ? Int($0.dropFirst(6).dropLast()) : nil }
    }
  }

  var requests: [Request] { seen.withLock { $0 } }

  init(_ answer: @escaping @Sendable (_ request: Request) -> Answer) throws {
    self.answer = answer
    #if canImport(Glibc)
      let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    #else
      let descriptor = socket(AF_INET, SOCK_STREAM, 0)
    #endif
    listener = descriptor
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let status = unsafe withUnsafeMutablePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
        let bound = unsafe bind(descriptor, generic, size)
        return unsafe bound == 0 ? getsockname(descriptor, generic, &size) : bound
      }
    }
    guard status == 0, listen(descriptor, 8) == 0 else { throw POSIXError(.EADDRINUSE) }
    port = UInt16(bigEndian: address.sin_port)
    Thread.detachNewThread { [self] in serve() }
  }

  private func serve() {
    while true {
      let connection = accept(listener, nil, nil)
      guard connection >= 0 else { return }
      Thread.detachNewThread { [self] in
        handle(connection)
        close(connection)
      }
    }
  }

  private func handle(_ connection: Int32) {
    var bytes: [UInt8] = []
    while !String(decoding: bytes, as: UTF8.self).contains("\r\n\r\n") {
      var buffer = [UInt8](repeating: 0, count: 4_096)
      let count = unsafe recv(connection, &buffer, buffer.count, 0)
      guard count > 0 else { return }
      bytes += buffer[..<count]
    }
    let request = seen.withLock { seen in
      seen.append(Request(number: seen.count, text: String(decoding: bytes, as: UTF8.self)))
      return seen[seen.count - 1]
    }
    let answer = answer(request)
    send(connection, Array(answer.head.utf8) + answer.body)
    if answer.silence > 0 { Thread.sleep(forTimeInterval: answer.silence) }
  }

  private func send(_ connection: Int32, _ bytes: [UInt8]) {
    var sent = 0
    while sent < bytes.count {
      let rest = Array(bytes[sent...])
      #if canImport(Darwin)
        let count = unsafe Darwin.send(connection, rest, rest.count, 0)
      #else
        let count = unsafe Glibc.send(connection, rest, rest.count, Int32(MSG_NOSIGNAL))
      #endif
      guard count > 0 else { return }
      sent += count
    }
  }
}

extension LoopbackServer.Answer {
  /// All of a file, or from `start` on.
  static func file(_ bytes: [UInt8], from start: Int? = nil, mark: String = "\"1\"") -> Self {
    guard let start, start < bytes.count else {
      return Self(
        head:
          "HTTP/1.1 200 OK\r\nETag: \(mark)\r\nContent-Length: \(bytes.count)\r\nConnection: close\r\n\r\n",
        body: bytes)
    }
    let range = "Content-Range: bytes \(start)-\(bytes.count - 1)/\(bytes.count)"
    return Self(
      head:
        "HTTP/1.1 206 Partial\r\nETag: \(mark)\r\n\(range)\r\nContent-Length: \(bytes.count - start)\r\nConnection: close\r\n\r\n",
      body: Array(bytes[start...]))
  }

  /// Only the first `count` bytes of the body.
  func cut(_ count: Int) -> Self {
    var answer = self
    answer.body = Array(body.prefix(count))
    return answer
  }
}

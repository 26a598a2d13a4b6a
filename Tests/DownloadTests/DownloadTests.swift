import DuetDownload
import Foundation
import Testing

/// Downloads from a server that drops, stalls, lies about lengths and sends other bytes.
@Suite(.serialized) struct DownloadTests {
  private let file: [UInt8] =
    Array("GGUF".utf8) + (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
  private let folder = FileManager.default.temporaryDirectory.appending(
    path: "duet-pull-\(UUID().uuidString)")

  private var digest: String {
    var digest = SHA256()
    digest.update(file)
    return digest.text
  }

  private func download(_ server: LoopbackServer, _ name: String = "m.gguf") -> Download {
    var download = Download(
      url: "http://127.0.0.1:\(server.port)/\(name)", target: folder.appending(path: name).path)
    download.patience = 1
    download.attempts = 2
    return download
  }

  /// The target's bytes, or nil; nothing else may lie beside it unless a part was kept.
  private func arrived(_ name: String = "m.gguf") -> [UInt8]? {
    FileManager.default.contents(atPath: folder.appending(path: name).path).map { [UInt8]($0) }
  }

  private func left() -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).sorted()
  }

  private func error(_ download: Download) async -> DownloadError? {
    do {
      try await download.run()
      return nil
    } catch { return error as? DownloadError }
  }

  @Test func `a digest is that of the standard's examples`() {
    var empty = SHA256(), letters = SHA256(), many = SHA256()
    letters.update(Array("abc".utf8))
    for _ in 0..<1_000 { many.update([UInt8](repeating: 0x61, count: 1_000)) }
    empty.update([])
    #expect(empty.text == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    #expect(letters.text == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    #expect(many.text == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
  }

  @Test func `a file arrives whole and alone`() async throws {
    let file = file
    let server = try LoopbackServer { _ in .file(file) }
    var download = download(server)
    download.sha256 = digest.uppercased().lowercased()
    try await download.run()
    #expect(arrived() == file && left() == ["m.gguf"])
    #expect(server.requests[0].header("Accept-Encoding") == "identity")
  }

  @Test func `a connection that drops is gone on with where it broke`() async throws {
    let file = file
    let server = try LoopbackServer { request in
      let answer = LoopbackServer.Answer.file(file, from: request.start)
      return request.number < 3 ? answer.cut(70_000) : answer
    }
    try await download(server).run()
    #expect(arrived() == file)
    #expect(server.requests.count == 4 && server.requests.dropFirst().allSatisfy { $0.start != nil })
    #expect(server.requests[1].header("If-Range") == "\"1\"")
  }

  @Test func `what one call left, the next goes on with`() async throws {
    let file = file
    let dropping = try LoopbackServer { request in
      request.number == 0 ? LoopbackServer.Answer.file(file).cut(100_000) : .init(head: "")
    }
    var first = download(dropping)
    first.attempts = 1
    guard case .interrupted(_, let received, let total, _)? = await error(first) else {
      Issue.record("the download did not break off")
      return
    }
    #expect(received > 0 && total == file.count && arrived() == nil && left().count == 2)
    // The same address answers rightly later; another address must not go on with these bytes.
    let other = try LoopbackServer { request in .file(file, from: request.start) }
    try await download(other).run()
    #expect(arrived() == file && other.requests[0].start == nil)
  }

  @Test func `a file that changed between two tries is fetched anew`() async throws {
    let file = file, changed = Array("GGUF".utf8) + [UInt8](repeating: 7, count: 120_000)
    let server = try LoopbackServer { request in
      guard request.number > 0 else { return LoopbackServer.Answer.file(file).cut(50_000) }
      // If-Range does not fit any more, so the whole of the new file comes.
      return .file(changed, mark: "\"2\"")
    }
    try await download(server).run()
    #expect(arrived() == changed)
  }

  @Test func `a server that stalls is left`() async throws {
    let file = file
    let server = try LoopbackServer { request in
      var answer = LoopbackServer.Answer.file(file, from: request.start)
      if request.number == 0 {
        answer = answer.cut(40_000)
        answer.silence = 6
      }
      return answer
    }
    let start = ContinuousClock.now
    try await download(server).run()
    #expect(arrived() == file && ContinuousClock.now - start < .seconds(6))
  }

  @Test func `lengths that are not true never make a file`() async throws {
    let file = file
    let short = try LoopbackServer { _ in
      var answer = LoopbackServer.Answer.file(file)
      answer.head = answer.head.replacing("\(file.count)", with: "\(file.count + 1_000)")
      return answer
    }
    #expect(await error(download(short)) != nil && arrived() == nil)
    let range = try LoopbackServer { request in
      // Says another start than was asked for.
      request.number == 0 ? LoopbackServer.Answer.file(file).cut(9_000) : .file(file, from: 5)
    }
    _ = await error(download(range))
    #expect(arrived() == nil || arrived() == file)
    let nonsense = try LoopbackServer { _ in
      LoopbackServer.Answer(head: "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", body: Array("GGUFxx".utf8))
    }
    _ = await error(download(nonsense, "n.gguf"))
  }

  @Test func `other bytes are refused and nothing of them stays`() async throws {
    let file = file
    let server = try LoopbackServer { _ in .file(file.reversed() + []) }
    var download = download(server, "m.bin")
    download.sha256 = digest
    guard case .wrongDigest(_, _, let expected)? = await error(download) else {
      Issue.record("other bytes were taken")
      return
    }
    #expect(expected == digest && left().isEmpty)
    let page = try LoopbackServer { _ in .file(Array("<!DOCTYPE html>".utf8)) }
    guard case .wrongContent? = await error(self.download(page)) else {
      Issue.record("a page was taken for a model")
      return
    }
    #expect(left().isEmpty)
  }

  @Test func `refusals are told by their status`() async throws {
    let server = try LoopbackServer { _ in
      LoopbackServer.Answer(head: "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n", body: [1, 2])
    }
    let url = "http://127.0.0.1:\(server.port)/m.gguf"
    #expect(await error(download(server)) == .refused(url: url, status: 404))
    #expect(server.requests.count == 1)
    #expect(await error(Download(url: "ftp://x/y", target: folder.path + "/y")) == .badAddress("ftp://x/y"))
    #expect(await error(Download(url: "http://", target: folder.path + "/y")) == .badAddress("http://"))
  }

  @Test func `a file larger than the disk is not begun`() async throws {
    let server = try LoopbackServer { _ in
      LoopbackServer.Answer(
        head: "HTTP/1.1 200 OK\r\nContent-Length: 9000000000000000\r\n\r\n", body: Array("GGUF".utf8))
    }
    guard case .noSpace? = await error(download(server)) else {
      Issue.record("an impossible size was accepted")
      return
    }
    #expect(arrived() == nil)
  }
}

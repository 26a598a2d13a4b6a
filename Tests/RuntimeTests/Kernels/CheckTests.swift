import CKernels
import Testing

/// The check that a tier goes through where no test has run: it passes all that tests cover, and finds what is wrong.
@Suite struct CheckTests {
  /// What a check of a table finds; nil where it finds nothing.
  private func finding(_ table: duet_operations, rounds: Int = 1) -> String? {
    var table = unsafe table, text = [CChar](repeating: 0, count: 400)
    let agrees = unsafe duet_check(&table, 7, rounds, &text, text.count)
    let said = String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    #expect(agrees == said.isEmpty)
    return agrees ? nil : said
  }

  private func table(_ name: String = "generic") throws -> duet_operations {
    try unsafe #require(duet_select(name)).pointee
  }

  @Test(arguments: Kernels.all)
  func `every tier that runs here agrees with its readable twin`(_ kernels: Kernels) throws {
    let found = try unsafe finding(table(kernels.testDescription), rounds: 8)
    #expect(found == nil)
  }

  @Test func `what is wrong with vectors is found, and named`() throws {
    let right = try unsafe table()
    var wrong = unsafe right
    unsafe wrong.argmax = { x, n in
      guard let operations = unsafe duet_select("generic") else { return 0 }
      return unsafe (operations.pointee.argmax(x, n) + 1) % n
    }
    #expect(unsafe finding(wrong)?.hasPrefix("argmax of ") == true)
    unsafe wrong = unsafe right
    unsafe wrong.add = { x, n, out in
      // All but the last.
      for index in 0..<n - 1 { unsafe out?[index] += x?[index] ?? 0 }
    }
    #expect(unsafe finding(wrong)?.hasPrefix("add of ") == true)
    unsafe wrong = unsafe right
    unsafe wrong.silu_multiply = unsafe right.gelu_multiply
    #expect(unsafe finding(wrong)?.hasPrefix("silu_multiply of ") == true)
    unsafe wrong = unsafe right
    unsafe wrong.rms_norm = { x, _, n, _, out in
      // One more than there are.
      for index in 0...n { unsafe out?[index] = x?[min(index, n - 1)] ?? 0 }
    }
    #expect(unsafe finding(wrong)?.hasPrefix("rms_norm of ") == true)
  }

  @Test func `a type's product that is another's is found, and named`() throws {
    let right = try unsafe table()
    let (q4, q5, iq4) = (Int(DUET_Q4_1), Int(DUET_Q5_0), Int(DUET_IQ4_NL))
    var wrong = unsafe right
    // Blocks of the same size, so that nothing else is wrong.
    unsafe exchange(&wrong.dot, Int(DUET_Q4_0), iq4)
    #expect(unsafe finding(wrong)?.hasPrefix("dot of Q4_0, ") == true)
    unsafe wrong = unsafe right
    unsafe exchange(&wrong.multiply, Int(DUET_Q4_0), iq4)
    #expect(unsafe finding(wrong)?.hasPrefix("multiply of Q4_0, ") == true)
    unsafe wrong = unsafe right
    unsafe exchange(&wrong.dequantize, Int(DUET_F16), Int(DUET_BF16))
    #expect(unsafe finding(wrong)?.hasPrefix("dequantize of F16, ") == true)
    unsafe wrong = unsafe right
    unsafe exchange(&wrong.dot_f32, q4, q5)
    #expect(unsafe finding(wrong)?.hasPrefix("dot_f32 of Q4_1, ") == true)
  }

  @Test func `attention that misses the last token is found, and named`() throws {
    var wrong = try unsafe table()
    unsafe wrong.attend = { query, pages, state in
      guard var query = unsafe query?.pointee, let spans = unsafe query.spans else { return }
      let longer = unsafe (0..<query.tokens).map { token in
        let span = unsafe spans[token]
        return duet_span(first: span.first, last: max(span.first + 2, span.last) - 1)
      }
      unsafe longer.withUnsafeBufferPointer {
        unsafe query.spans = $0.baseAddress
        unsafe duet_select("generic")?.pointee.attend(&query, pages, state)
      }
    }
    let found = unsafe finding(wrong, rounds: 3)
    #expect(found?.hasPrefix("attend of ") == true, "\(found ?? "nothing")")
  }

  /// Exchanges two entries of a C array of pointers, which Swift sees as a tuple.
  private func exchange<Tuple: BitwiseCopyable>(_ entries: inout Tuple, _ first: Int, _ second: Int) {
    unsafe withUnsafeMutableBytes(of: &entries) { bytes in
      let words = unsafe bytes.bindMemory(to: UInt.self)
      unsafe words.swapAt(first, second)
    }
  }
}

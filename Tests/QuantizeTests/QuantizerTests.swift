import DuetQuantize
import DuetRuntime
import Foundation
import Testing

/// A folder of its own, and files of made-up models in it.
private struct Workshop {
  let folder = FileManager.default.temporaryDirectory.appendingPathComponent("duet-\(UUID())")

  init() throws { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true) }

  func path(_ name: String) -> String { folder.appendingPathComponent(name).path }
  func data(_ name: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: path(name))) }
  func names() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
  }

  /// Two layers whose rows are 256 and 96 values; `change` may spoil a value.
  func model(_ name: String = "model.gguf", change: (String, inout [Float]) -> Void = { _, _ in }) throws
    -> GGUFFile
  {
    var plans = [TensorPlan(name: "token_embd.weight", shape: [256, 64], type: .f32)]
    for layer in 0..<2 {
      plans.append(TensorPlan(name: "blk.\(layer).attn_norm.weight", shape: [256], type: .f32))
      plans.append(TensorPlan(name: "blk.\(layer).attn_v.weight", shape: [256, 40], type: .f32))
      plans.append(TensorPlan(name: "blk.\(layer).ffn_down.weight", shape: [96, 256], type: .f32))
    }
    let pairs: [(key: String, value: GGUFValue)] = [
      ("general.architecture", .string("llama")), ("llama.block_count", .integer(2, .uint32)),
      ("llama.attention.head_count", .integer(4, .uint32)),
      ("llama.attention.head_count_kv", .integer(2, .uint32)),
    ]
    let writer = try GGUFWriter(path: path(name), metadata: pairs, tensors: plans)
    var random = SystemNoise()
    for plan in plans {
      var values = (0..<plan.elementCount).map { _ in random.next() }
      change(plan.name, &values)
      try writer.write(values.span)
    }
    try writer.finish()
    return try GGUFFile(path: path(name))
  }
}

/// Sums of uniform numbers: about normal, and the same in every run.
private struct SystemNoise {
  private var state: UInt64 = 7
  mutating func next() -> Float {
    var sum: Float = 0
    for _ in 0..<4 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      sum += Float(state >> 40) / Float(1 << 24) - 0.5
    }
    return 0.05 * sum
  }
}

@Suite struct QuantizerTests {
  /// Of an adapter of rank 16 the second factors' rows are narrower than any block.
  @Test(arguments: [
    (QuantizationScheme.f32, TensorType.f32, TensorType.f32), (.f16, .f16, .f16), (.q8_0, .q8_0, .f16),
    (.q4_K_M, .q8_0, .f16),
  ])
  func adaptersGoDownToEightBits(_ scheme: QuantizationScheme, _ first: TensorType, _ second: TensorType)
    throws
  {
    let workshop = try Workshop()
    let plans = [
      TensorPlan(name: "blk.0.attn_q.weight.lora_a", shape: [96, 16], type: .f32),
      TensorPlan(name: "blk.0.attn_q.weight.lora_b", shape: [16, 96], type: .f32),
    ]
    let pairs: [(key: String, value: GGUFValue)] = [
      ("general.type", .string("adapter")), ("general.architecture", .string("llama")),
    ]
    let writer = try GGUFWriter(path: workshop.path("adapter.gguf"), metadata: pairs, tensors: plans)
    var random = SystemNoise()
    for plan in plans {
      let values = (0..<plan.elementCount).map { _ in random.next() }
      try writer.write(values.span)
    }
    try writer.finish()
    let plan = try QuantizationPlan(GGUFFile(path: workshop.path("adapter.gguf")), scheme: scheme)
    #expect(plan.tensors.map(\.type) == [first, second])
    let results = try plan.write(
      to: workshop.path("out.gguf"), options: QuantizationOptions(), replaces: false)
    #expect(results.allSatisfy { $0.error.relative < 0.006 })
  }

  @Test func everySchemeMakesAFileThatReadsBack() throws {
    let workshop = try Workshop(), file = try workshop.model()
    for scheme in QuantizationScheme.allCases {
      let plan = try QuantizationPlan(file, scheme: scheme)
      let results = try plan.write(
        to: workshop.path("out.gguf"), options: QuantizationOptions(), replaces: true)
      let made = try GGUFFile(path: workshop.path("out.gguf"))
      #expect(made.tensors.map(\.name) == file.tensors.map(\.name))
      #expect(made.tensors.map(\.type) == plan.tensors.map(\.type))
      #expect(try made.metadata.integer("general.file_type") == scheme.fileType)
      #expect(made.tensors.reduce(0) { $0 + $1.range.count } == plan.byteCount)
      for result in results where result.type != .f32 {
        #expect(result.error.relative > 0 && result.error.relative < 0.4, "\(scheme) \(result.name)")
      }
    }
  }

  @Test func rowsThatAreNoWholeBlocksFallBack() throws {
    let workshop = try Workshop(), file = try workshop.model()
    let plan = try QuantizationPlan(file, scheme: .q4_K_S)
    let types = Dictionary(uniqueKeysWithValues: plan.tensors.map { ($0.source.name, $0.type) })
    #expect(types["blk.0.ffn_down.weight"] == .q5_0)
    #expect(types["blk.0.attn_v.weight"] == .q5_K)
    #expect(types["token_embd.weight"] == .q6_K)
    #expect(types["blk.1.attn_norm.weight"] == .f32)
    #expect(plan.fallbacks.count == 1 && plan.fallbacks[0].from == .q4_K && plan.fallbacks[0].to == .q5_0)
    #expect(plan.fallbacks[0].tensors.count == 2)
  }

  @Test func theNumberOfThreadsChangesNothing() throws {
    let workshop = try Workshop(), file = try workshop.model()
    for (threads, kernels) in [(1, nil), (2, nil), (5, nil), (2, "generic")] as [(Int, String?)] {
      var options = QuantizationOptions()
      options.threads = threads
      options.kernels = kernels
      let results = try QuantizationPlan(file, scheme: .q3_K_M).write(
        to: workshop.path("\(threads)\(kernels ?? "").gguf"), options: options)
      #expect(results.count == file.tensors.count)
    }
    let one = try workshop.data("1.gguf")
    #expect(try workshop.data("2.gguf") == one && workshop.data("5.gguf") == one)
    #expect(try workshop.data("2generic.gguf") == one)
  }

  @Test func overridesTakePrecedence() throws {
    let workshop = try Workshop(), file = try workshop.model()
    var options = QuantizationOptions()
    options.overrides = try [#require(TensorOverride("blk.*.attn_v.*=Q8_0"))]
    let plan = try QuantizationPlan(file, scheme: .q2_K, options: options)
    #expect(plan.tensors.filter { $0.source.name.contains("attn_v") }.allSatisfy { $0.type == .q8_0 })
    options.overrides = try [#require(TensorOverride("nothing*=Q8_0"))]
    #expect(throws: QuantizerError.self) { try QuantizationPlan(file, scheme: .q2_K, options: options) }
    #expect(TensorOverride("a") == nil && TensorOverride("a=Q9_9") == nil && TensorOverride("=Q8_0") == nil)
  }

  @Test func aValueThatIsNoNumberIsNamed() throws {
    let workshop = try Workshop()
    let file = try workshop.model { name, values in
      if name == "blk.1.ffn_down.weight" { values[96 * 17 + 5] = .nan }
    }
    let plan = try QuantizationPlan(file, scheme: .q4_0)
    let error = try #require(throws: QuantizerError.self) {
      try plan.write(to: workshop.path("out.gguf"), options: QuantizationOptions())
    }
    #expect("\(error)".contains("blk.1.ffn_down.weight") && "\(error)".contains("row 17"))
    #expect(try workshop.names() == ["model.gguf"])
  }

  @Test func nothingIsReplacedUnlessAsked() throws {
    let workshop = try Workshop(), plan = try QuantizationPlan(workshop.model(), scheme: .q4_0)
    try Data("precious".utf8).write(to: URL(fileURLWithPath: workshop.path("out.gguf")))
    #expect(throws: QuantizerError.self) {
      try plan.write(to: workshop.path("out.gguf"), options: QuantizationOptions())
    }
    #expect(try workshop.data("out.gguf") == Data("precious".utf8))
  }

  @Test func aSecondQuantizationIsRefusedUnlessAsked() throws {
    let workshop = try Workshop()
    _ = try QuantizationPlan(workshop.model(), scheme: .q8_0).write(
      to: workshop.path("q8.gguf"), options: QuantizationOptions())
    let lossy = try GGUFFile(path: workshop.path("q8.gguf"))
    #expect(throws: QuantizerError.self) { try QuantizationPlan(lossy, scheme: .q4_0) }
    var options = QuantizationOptions()
    options.allowsRequantizing = true
    #expect(try QuantizationPlan(lossy, scheme: .q4_0, options: options).requantizes)
  }

  @Test func aBudgetIsKeptAndUsed() throws {
    let workshop = try Workshop(), file = try workshop.model()
    let all = file.tensors.reduce(0) { $0 + $1.elementCount }
    let plan = try BudgetPlanner(options: QuantizationOptions()).plan(file, bytes: all * 5 / 8)
    #expect(plan.byteCount <= all * 5 / 8 && plan.byteCount > all * 4 / 8)
    #expect(throws: QuantizerError.self) {
      try BudgetPlanner(options: QuantizationOptions()).plan(file, bytes: 1_000)
    }
  }

  @Test func importanceIsReadAndLowersTheWeightedError() throws {
    let workshop = try Workshop(), file = try workshop.model()
    let sums = (0..<96).map { Float($0 % 7 == 0 ? 100 : 1) }
    let plans = [
      TensorPlan(name: "blk.0.ffn_down.weight.in_sum2", shape: [96, 1], type: .f32),
      TensorPlan(name: "blk.0.ffn_down.weight.counts", shape: [1, 1], type: .f32),
    ]
    let writer = try GGUFWriter(
      path: workshop.path("imatrix.gguf"), metadata: [("general.type", .string("imatrix"))], tensors: plans)
    try writer.write(sums.span)
    try writer.write([Float(10)].span)
    try writer.finish()
    var options = QuantizationOptions()
    options.importance = try ImportanceMatrix(reading: workshop.path("imatrix.gguf"))
    #expect(options.importance?.meanSquares("blk.0.ffn_down.weight")?.prefix(2) == [10, 0.1])
    let with = try QuantizationPlan(file, scheme: .q4_0, options: options).write(
      to: workshop.path("with.gguf"), options: options)
    let name = "blk.0.ffn_down.weight"
    let result = try #require(with.first { $0.name == name })
    #expect(result.error.weightedRelative < result.error.relative)
  }
}

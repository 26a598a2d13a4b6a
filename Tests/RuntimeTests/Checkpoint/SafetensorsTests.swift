import DuetRuntime
import Foundation
import Testing

/// Files of a checkpoint that lie, lack something or come in several parts.
struct CheckpointFileTests {
  private func refusal(_ change: (inout [String: Data]) throws -> Void) throws -> String {
    var files = try FamilyCase.read("llama").files()
    try change(&files)
    let folder = try CheckpointFolder(files)
    let error = #expect(throws: CheckpointError.self) { try Checkpoint(path: folder.path) }
    return "\(try #require(error))"
  }

  @Test func `what is missing is named`() throws {
    #expect(try refusal { $0["config.json"] = nil }.contains("config.json"))
    #expect(try refusal { $0["tokenizer.json"] = nil }.contains("tokenizer.json"))
    #expect(try refusal { $0["model.safetensors"] = nil }.contains("model.safetensors"))
  }

  @Test(arguments: [
    #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#,
    #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#,
    #"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}"#,
    #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#,
    #"{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}"#,
    #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
    #"{"a":{"shape":[1],"data_offsets":[0,4]}}"#, "[]", "{", #"{"a"}"#,
  ])
  func `a header that lies is refused`(_ header: String) throws {
    let text = try refusal {
      $0["model.safetensors"] = Safetensors.file(header: header, data: [UInt8](repeating: 0, count: 8))
    }
    #expect(text.contains("model.safetensors"))
  }

  @Test func `a list of words that is nothing but lines is refused`() throws {
    let lines = Data("[UNK]\n[CLS]\n[SEP]\n".utf8) + Data(repeating: 0x0A, count: 1 << 20)
    let text = try refusal {
      $0["tokenizer.json"] = nil
      $0["vocab.txt"] = lines
    }
    #expect(text.contains("more than 1048576 lines"))
  }

  @Test func `a length beyond the end is refused`() throws {
    #expect(try refusal { $0["model.safetensors"] = Data(little(UInt64.max)) }.contains("header"))
    #expect(try refusal { $0["model.safetensors"] = Data([1, 2]) }.contains("header"))
  }

  @Test func `several files are read as one`() throws {
    let family = try FamilyCase.read("llama")
    var files = try family.files()
    let parts = [family.tensors.dropLast(5), family.tensors.suffix(5)].map { part in
      Safetensors.file(part.map { ($0.name, $0.shape, $0.values) })
    }
    let names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    let map = family.tensors.enumerated().map { index, tensor in
      "\"\(tensor.name)\":\"\(names[index < family.tensors.count - 5 ? 0 : 1])\""
    }
    files["model.safetensors"] = nil
    files[names[0]] = parts[0]
    files[names[1]] = parts[1]
    files["model.safetensors.index.json"] = Data("{\"weight_map\":{\(map.joined(separator: ","))}}".utf8)
    let folder = try CheckpointFolder(files)
    #expect(try Checkpoint(path: folder.path).file.tensors.count == family.tensors.count)
    try folder.write("model.safetensors.index.json", Data(#"{"weight_map":{"a":"../x.safetensors"}}"#.utf8))
    #expect(throws: CheckpointError.self) { try Checkpoint(path: folder.path) }
  }

  @Test(arguments: ["", "{", "[1,]", "{\"a\" 1}", "\"\\x\"", "nul", String(repeating: "[", count: 100_000)])
  func `text that is no JSON is refused with the place`(_ text: String) throws {
    guard !text.isEmpty else { return }
    #expect(try refusal { $0["config.json"] = Data(text.utf8) }.contains("byte"))
  }

  @Test func `a tensor of no known name is refused`() throws {
    let text = try refusal { files in
      files["model.safetensors"] = Safetensors.file([("model.layers.0.self_attn.rope", [1], [1])])
    }
    #expect(text.contains("model.layers.0.self_attn.rope"))
  }
}

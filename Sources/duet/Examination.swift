import DuetRuntime
import Foundation

/// What `duet doctor` found.
struct Examination: Encodable {
  struct Processor: Encodable {
    let cores: Int
    let features: String
    let kernels: Nullable<String>
    let duetCpu: Nullable<String>
  }
  struct Memory: Encodable {
    var totalBytes = 0
    var availableBytes = 0
  }
  struct ModelFile: Encodable {
    let name: String
    let bytes: Int
    let isDefault: Bool
  }
  struct Models: Encodable {
    let folder: String
    let files: [ModelFile]
  }
  struct DataFolder: Encodable {
    let folder: String
    let isWritable: Bool
    let freeBytes: Nullable<Int>
  }
  struct Problem: Encodable {
    /// What is missing and what to do.
    let text: String
    let isFatal: Bool
  }

  let cpu: Processor
  let memory: Memory
  let models: Models
  let data: DataFolder
  let pdftotext: Nullable<String>
  let problems: [Problem]
  /// Whether chat can work.
  let ok: Bool

  init() {
    var problems: [Problem] = []
    cpu = Self.processor(&problems)
    memory = Self.memory()
    models = Self.models(&problems)
    data = Self.dataFolder(&problems)
    pdftotext = Nullable(PDFText.program)
    if pdftotext.value == nil {
      problems.append(Problem(text: "PDF files cannot be read; install poppler-utils", isFatal: false))
    }
    let needed = models.files.map(\.bytes).min() ?? 0
    if memory.availableBytes > 0, needed > memory.availableBytes {
      problems.append(
        Problem(
          text: "there is less free memory than the smallest model takes; end other programs", isFatal: false)
      )
    }
    self.problems = problems
    ok = !problems.contains(where: \.isFatal)
  }

  private static func processor(_ problems: inout [Problem]) -> Processor {
    let tier = Folders.kernels
    var kernels: String?
    do { kernels = try Operations(tier: tier).name } catch {
      problems.append(Problem(text: "\(error)", isFatal: true))
    }
    return Processor(
      cores: ProcessInfo.processInfo.activeProcessorCount, features: Operations.cpuFeatures,
      kernels: Nullable(kernels),
      duetCpu: Nullable(tier))
  }

  private static func memory() -> Memory {
    var memory = Memory(totalBytes: Int(clamping: ProcessInfo.processInfo.physicalMemory))
    #if os(Linux)
      // Lines such as "MemAvailable:   15986308 kB".
      let lines = (try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8)) ?? ""
      for line in lines.split(separator: "\n") where line.hasPrefix("MemAvailable:") {
        let number = line.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        memory.availableBytes = number.multipliedReportingOverflow(by: 1_024).partialValue
      }
    #endif
    return memory
  }

  private static func models(_ problems: inout [Problem]) -> Models {
    let files = ModelFiles.names.map { name in
      ModelFile(
        name: name, bytes: size(Folders.models + "/" + name), isDefault: name == ModelFiles.defaultName)
    }
    if !files.contains(where: \.isDefault) {
      let remedy = "the default model is missing; run tools/setup --models"
      let other = files.isEmpty ? "" : ", or give another with --model"
      problems.append(Problem(text: remedy + other, isFatal: files.isEmpty))
    }
    return Models(folder: Folders.models, files: files)
  }

  private static func size(_ path: String) -> Int {
    let path = URL(fileURLWithPath: path).resolvingSymlinksInPath().path
    return (try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int) ?? 0
  }

  private static func dataFolder(_ problems: inout [Problem]) -> DataFolder {
    // The folder is made when it is needed; until then what counts is the nearest one above it.
    var existing = Folders.data
    while existing.count > 1, !FileManager.default.fileExists(atPath: existing) {
      existing = URL(fileURLWithPath: existing).deletingLastPathComponent().path
    }
    let isWritable = FileManager.default.isWritableFile(atPath: existing)
    if !isWritable {
      problems.append(
        Problem(
          text: "documents and history cannot be kept: \(existing) is not writable; set XDG_DATA_HOME",
          isFatal: false))
    }
    let attributes = try? FileManager.default.attributesOfFileSystem(forPath: existing)
    let free = (attributes?[.systemFreeSize] as? NSNumber)?.intValue
    if let free, free < 100_000_000 {
      problems.append(Problem(text: "\(existing) has less than 100 MB free; make room", isFatal: false))
    }
    return DataFolder(folder: Folders.data, isWritable: isWritable, freeBytes: Nullable(free))
  }
}

// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
  .strictMemorySafety(),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .treatAllWarnings(as: .error),
]

let package = Package(
  name: "Duet",
  platforms: [.macOS(.v15), .iOS(.v18)],
  products: [
    .library(name: "DuetRuntime", targets: ["DuetRuntime"]),
    .library(name: "DuetQuantize", targets: ["DuetQuantize"]),
    .library(name: "DuetDocuments", targets: ["DuetDocuments"]),
    .library(name: "DuetRouter", targets: ["DuetRouter"]),
    .library(name: "DuetVision", targets: ["DuetVision"]),
    .library(name: "DuetTrainer", targets: ["DuetTrainer"]),
    .executable(name: "duet", targets: ["duet"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    .package(url: "https://github.com/swiftlang/swift-docc-plugin", from: "1.5.0"),
  ],
  targets: [
    .target(
      name: "CKernels",
      cSettings: [.define("NDEBUG", .when(configuration: .release))]
    ),
    .target(
      name: "DuetRuntime",
      dependencies: ["CKernels"],
      path: "Sources/Runtime",
      swiftSettings: strict
    ),
    .target(
      name: "DuetQuantize",
      dependencies: ["DuetRuntime", "CKernels"],
      path: "Sources/Quantize",
      swiftSettings: strict
    ),
    .systemLibrary(
      name: "CZlib", providers: [.apt(["zlib1g-dev"]), .brew(["zlib"])]),
    .target(
      name: "DuetDocuments",
      dependencies: ["CZlib", .product(name: "GRDB", package: "GRDB.swift")],
      path: "Sources/Documents",
      swiftSettings: strict
    ),
    .target(
      name: "DuetRouter",
      dependencies: ["DuetRuntime", "DuetDocuments"],
      path: "Sources/Router",
      swiftSettings: strict
    ),
    .target(
      name: "CImageCodecs", linkerSettings: [.linkedLibrary("jpeg"), .linkedLibrary("png")]),
    .target(
      name: "DuetVision", dependencies: ["DuetRuntime", "CKernels", "CImageCodecs"], path: "Sources/Vision",
      swiftSettings: strict),
    .systemLibrary(
      name: "COpenBLAS", providers: [.apt(["libopenblas-dev"]), .brew(["openblas"])]),
    .target(
      name: "DuetTrainer",
      dependencies: ["DuetRuntime", "CKernels", "COpenBLAS"],
      path: "Sources/Trainer",
      swiftSettings: strict
    ),
    .target(name: "DuetTerminal", path: "Sources/Terminal", swiftSettings: strict),
    .target(name: "DuetDownload", path: "Sources/Download", swiftSettings: strict),
    .executableTarget(
      name: "duet",
      dependencies: [
        "DuetRuntime", "DuetQuantize", "DuetDocuments", "DuetRouter", "DuetTrainer", "DuetVision",
        "DuetTerminal", "DuetDownload",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      resources: [.embedInCode("Pull/models.tsv"), .embedInCode("Pull/fetch_model.py")],
      swiftSettings: strict
    ),
    .executableTarget(
      name: "duet-hostile",
      dependencies: [
        "DuetRuntime", "DuetDocuments", "DuetVision",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      path: "Tests/Hostile",
      swiftSettings: strict
    ),
    .testTarget(
      name: "RuntimeTests", dependencies: ["DuetRuntime", "CKernels"],
      resources: [.copy("Fixtures")], swiftSettings: strict),
    .testTarget(
      name: "QuantizeTests", dependencies: ["DuetQuantize", "DuetRuntime", "CKernels"],
      resources: [.copy("Fixtures")], swiftSettings: strict),
    .testTarget(
      name: "DocumentsTests", dependencies: ["DuetDocuments", .product(name: "GRDB", package: "GRDB.swift")],
      resources: [.copy("Fixtures")], swiftSettings: strict),
    .testTarget(name: "DownloadTests", dependencies: ["DuetDownload"], swiftSettings: strict),
    .testTarget(name: "TerminalTests", dependencies: ["DuetTerminal"], swiftSettings: strict),
    .testTarget(
      name: "TrainerTests", dependencies: ["DuetQuantize", "DuetRuntime", "DuetTrainer"],
      resources: [.copy("Fixtures")], swiftSettings: strict),
    .testTarget(name: "RouterTests", dependencies: ["DuetRouter", "DuetRuntime"], swiftSettings: strict),
    .executableTarget(
      name: "duet-vision-check",
      dependencies: [
        "DuetRuntime", "DuetVision", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      path: "Tests/VisionCheck",
      swiftSettings: strict
    ),
    .testTarget(
      name: "VisionTests", dependencies: ["DuetVision", "DuetRuntime", "DuetQuantize"],
      resources: [.copy("Fixtures")], swiftSettings: strict),
    .testTarget(
      name: "GoldenTests",
      dependencies: [
        "DuetRuntime", "DuetDocuments", "DuetRouter", .product(name: "GRDB", package: "GRDB.swift"),
      ],
      path: "Tests/Golden", resources: [.copy("Fixtures")], swiftSettings: strict),
  ],
  swiftLanguageModes: [.v6],
  cLanguageStandard: .c17
)

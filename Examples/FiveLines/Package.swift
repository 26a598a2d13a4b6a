// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "FiveLines",
  platforms: [.macOS(.v15)],
  dependencies: [.package(name: "Duet", path: "../..")],
  targets: [
    .executableTarget(name: "FiveLines", dependencies: [.product(name: "DuetRuntime", package: "Duet")])
  ],
  swiftLanguageModes: [.v6]
)

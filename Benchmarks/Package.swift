// swift-tools-version: 6.2
import PackageDescription

// Apart from the main package, which it would build again: it drives the program as its users do, over HTTP.

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

let package = Package(
    name: "Benchmarks",
    products: [.executable(name: "ticketflow-bench", targets: ["ticketflow-bench"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    ],
    targets: [
        .executableTarget(
            name: "ticketflow-bench",
            dependencies: [
                "ConfirmedPublish",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: settings),
        .target(name: "ConfirmedPublish", linkerSettings: [.linkedLibrary("rabbitmq")]),
        .testTarget(
            name: "BenchTests",
            dependencies: ["ticketflow-bench", .product(name: "NIOCore", package: "swift-nio")],
            swiftSettings: settings),
    ]
)

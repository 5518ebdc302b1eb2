// swift-tools-version: 6.2
import PackageDescription

/// Where nobody would read a warning it is an error.
let strictness: [SwiftSetting] = Context.environment["CI"] == nil ? [] : [.treatAllWarnings(as: .error)]

/// Every target is compiled alike; what differs between rooms is only what they may import.
let settings: [SwiftSetting] =
    strictness + [
        .swiftLanguageMode(.v6),
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
        .enableUpcomingFeature("InferIsolatedConformances"),
        // Generic code of one room is specialised in another: rows, statements, JSON.
        .unsafeFlags(["-cross-module-optimization"], .when(configuration: .release)),
    ]

/// For the rooms that touch C: unsafe constructs must be marked.
let cSettings = settings + [.strictMemorySafety()]

let log: Target.Dependency = .product(name: "Logging", package: "swift-log")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let hummingbird: Target.Dependency = .product(name: "Hummingbird", package: "hummingbird")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let configuration: Target.Dependency = .product(name: "Configuration", package: "swift-configuration")
let httpTypes: Target.Dependency = .product(name: "HTTPTypes", package: "swift-http-types")

/// A library that Debian ships, wrapped by exactly one Swift target.
func systemLibrary(_ name: String, _ pkgConfig: String, _ debian: String) -> Target {
    .systemLibrary(name: name, path: "Sources/C/\(name)", pkgConfig: pkgConfig, providers: [.apt([debian])])
}

func platform(_ name: String, _ dependencies: [Target.Dependency], touchesC: Bool = false) -> Target {
    .target(
        name: name, dependencies: dependencies, path: "Sources/Platform/\(name)",
        swiftSettings: touchesC ? cSettings : settings)
}

/// What every service may import: the platform and the contracts, never another service.
let house: [Target.Dependency] = [
    "Values", "Storage", "Messaging", "Discovery", "Observability", "ServiceKit", "Contracts",
    log, hummingbird, httpTypes, configuration,
]

func service(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(
        name: name, dependencies: house + dependencies, path: "Sources/Services/\(name)", swiftSettings: settings)
}

func edge(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: house + dependencies, path: "Sources/Edge/\(name)", swiftSettings: settings)
}

let services = [
    "EventManager", "TicketManager", "SalesManager", "CouponManager",
    "PaymentProcessing", "Authentication", "SalesAnalytics", "Notification",
]
let serviceTargets = services.map { Target.Dependency(stringLiteral: $0) }

let package = Package(
    name: "ticketflow",
    products: [.executable(name: "ticketflow", targets: ["ticketflow"])],
    dependencies: [
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/vapor/jwt-kit", from: "5.7.1"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(
            url: "https://github.com/apple/swift-configuration", from: "1.4.0",
            traits: [.defaults, "YAML", "Reloading"]),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-http2", from: "1.46.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2", traits: []),
    ],
    targets: [
        systemLibrary("CArgon2", "libargon2", "libargon2-dev"),
        systemLibrary("CCurl", "libcurl", "libcurl4-openssl-dev"),
        systemLibrary("CLibpq", "libpq", "libpq-dev"),
        systemLibrary("CModSecurity", "modsecurity", "libmodsecurity-dev"),
        systemLibrary("CQRencode", "libqrencode", "libqrencode-dev"),
        systemLibrary("CRabbitMQ", "librabbitmq", "librabbitmq-dev"),
        .target(name: "CSQLite", path: "Sources/C/CSQLite", linkerSettings: [.linkedLibrary("sqlite3")]),
        .systemLibrary(name: "CTaskHook", path: "Sources/C/CTaskHook"),
        systemLibrary("CZlib", "zlib", "zlib1g-dev"),

        platform("Values", [crypto]),
        platform("Observability", [log, .product(name: "Metrics", package: "swift-metrics")]),
        platform(
            "Storage",
            [
                "Values", "EventLoops", "CLibpq", "CSQLite", log, lifecycle, .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "GRDBSQLite", package: "GRDB.swift"), .product(name: "NIOPosix", package: "swift-nio"),
            ], touchesC: true),
        platform(
            "Messaging",
            ["Values", "Storage", "CRabbitMQ", log, lifecycle, .product(name: "Metrics", package: "swift-metrics")], touchesC: true),
        platform(
            "EventLoops",
            ["CTaskHook", .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio")],
            touchesC: true),
        platform(
            "Discovery",
            [
                "Values", log, lifecycle, httpTypes, .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Metrics", package: "swift-metrics"), .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
            ]),
        platform(
            "RemoteConfiguration",
            [
                "Values", log, lifecycle, configuration, httpTypes, .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
            ]),
        platform(
            "ServiceKit",
            [
                "Values", "Storage", "Messaging", "Discovery", "Observability", log, lifecycle, hummingbird, crypto,
                configuration, httpTypes,
                .product(name: "JWTKit", package: "jwt-kit"),
                .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "NIOCore", package: "swift-nio"),
            ]),
        platform(
            "Mail", ["Values", "CCurl", .product(name: "NIOPosix", package: "swift-nio"), .product(name: "NIOCore", package: "swift-nio")],
            touchesC: true),
        platform("Compression", ["CZlib"], touchesC: true),
        platform(
            "Firewall",
            ["CModSecurity", .product(name: "NIOPosix", package: "swift-nio"), .product(name: "NIOCore", package: "swift-nio")],
            touchesC: true),
        platform("Graphics", ["Compression", "CQRencode"], touchesC: true),
        platform(
            "Passwords", ["CArgon2", .product(name: "NIOPosix", package: "swift-nio"), .product(name: "NIOCore", package: "swift-nio")],
            touchesC: true),

        .target(name: "ContractsDocuments", path: "Sources/ContractsDocuments"),
        .target(
            name: "Contracts",
            dependencies: [
                "Values", "Messaging", "Discovery", "ContractsDocuments", httpTypes, crypto,
                .product(name: "Yams", package: "Yams"),
            ],
            path: "Sources/Contracts",
            exclude: services.map { "\($0)/openapi.yaml" } + ["components.yaml"],
            swiftSettings: settings),

        service("EventManager"),
        service("TicketManager", ["Graphics", crypto]),
        service("SalesManager", [crypto]),
        service("CouponManager"),
        service("PaymentProcessing", [crypto]),
        service("Authentication", ["Passwords", crypto, .product(name: "JWTKit", package: "jwt-kit")]),
        service("SalesAnalytics"),
        service("Notification", ["Mail", "Graphics"]),

        edge(
            "BorderGateway",
            [
                "Firewall", lifecycle, .product(name: "Metrics", package: "swift-metrics"), .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"), .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOHTTP2", package: "swift-nio-http2"), .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "NIOTLS", package: "swift-nio"),
            ]),
        edge("ServiceRegistry", ["Compression", lifecycle, .product(name: "Metrics", package: "swift-metrics")]),
        edge(
            "ConfigServer",
            [
                "RemoteConfiguration", lifecycle, crypto, .product(name: "CryptoExtras", package: "swift-crypto"),
                .product(name: "Yams", package: "Yams"), .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "Metrics", package: "swift-metrics"), .product(name: "NIOPosix", package: "swift-nio"),
            ]),

        .executableTarget(
            name: "ticketflow",
            dependencies: house + serviceTargets + [
                "BorderGateway", "ServiceRegistry", "ConfigServer", "RemoteConfiguration", "Mail", "EventLoops", lifecycle,
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"), .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "Sources/ticketflow",
            swiftSettings: settings,
            // Takes the place of the C library's own: see docs/decisions/0033.
            linkerSettings: [.linkedLibrary("jemalloc")]),

        .target(name: "TestServers", dependencies: ["Messaging", log], path: "Tests/TestServers", swiftSettings: settings),
        .testTarget(
            name: "PlatformTests",
            dependencies: house + [
                "TestServers", "Mail", "Graphics", "Passwords", "RemoteConfiguration", "Firewall", lifecycle,
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
            ],
            exclude: ["smtp_server.py"],
            swiftSettings: settings),
        .testTarget(
            name: "EdgeTests",
            dependencies: house + [
                "BorderGateway", "Firewall", "ServiceRegistry", "ConfigServer", "RemoteConfiguration", "Compression", "TestServers", crypto,
                lifecycle,
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "CryptoExtras", package: "swift-crypto"), .product(name: "Yams", package: "Yams"),
                .product(name: "ConfigurationTesting", package: "swift-configuration"),
            ],
            swiftSettings: settings),
        .testTarget(name: "ContractsTests", dependencies: house, exclude: ["Golden"], swiftSettings: settings),
        .testTarget(
            name: "ServiceTests",
            dependencies: house + serviceTargets + [
                "Mail", "TestServers", crypto, lifecycle, .product(name: "JWTKit", package: "jwt-kit"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "SystemTests",
            dependencies: [
                "ticketflow", "TestServers", "Values", "Contracts", "Storage", "Messaging", "Discovery", httpTypes, crypto,
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ],
            exclude: ["eureka_client.py", "upstream.py", "websocket.py"],
            swiftSettings: settings),
    ]
)

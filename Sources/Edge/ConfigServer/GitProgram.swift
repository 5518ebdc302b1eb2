import Foundation
import Subprocess
import Values

/// The program `git`, run without a shell on one bare repository.
struct GitProgram: Sendable {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// The bare repository.
    let folder: String
    let timeLimit: TimeSpan
    private let environment: [String: String]

    /// - Parameters:
    ///   - remote: for whose address alone the credentials are.
    ///   - sshKey: a file.
    init(folder: String, timeLimit: TimeSpan, remote: String, credentials: ConfigServerConfiguration.Credentials?, sshKey: String?) {
        self.folder = folder
        self.timeLimit = timeLimit
        // Nothing that a person or another program has set for git counts here, and nobody is asked for a password.
        var environment = [
            "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin",
            "HOME": folder, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true", "SSH_ASKPASS": "true",
            "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_ALLOW_PROTOCOL": "file:http:https:ssh",
        ]
        var ssh = "ssh -o BatchMode=yes -o ConnectTimeout=10"
        if let home = ProcessInfo.processInfo.environment["HOME"] {
            ssh += " -o UserKnownHostsFile=\(GitProgram.quoted("\(home)/.ssh/known_hosts"))"
        }
        if let sshKey { ssh += " -o IdentitiesOnly=yes -i \(GitProgram.quoted(sshKey))" }
        environment["GIT_SSH_COMMAND"] = ssh
        if let credentials {
            // Other users of the machine see arguments, but not the environment.
            environment["GIT_CONFIG_COUNT"] = "1"
            environment["GIT_CONFIG_KEY_0"] = "http.\(remote).extraHeader"
            let pair = Data("\(credentials.user):\(credentials.password)".utf8).base64EncodedString()
            environment["GIT_CONFIG_VALUE_0"] = "Authorization: Basic \(pair)"
        }
        self.environment = environment
    }

    /// `GIT_SSH_COMMAND` is read by a shell.
    private static func quoted(_ text: String) -> String {
        "'" + text.replacing("'", with: "'\\''") + "'"
    }

    /// Standard output. Throws `Failure` when it exits otherwise than with 0, or is killed because its time is over.
    func run(_ arguments: [String], largestOutput: Int = 64 << 20) async throws -> [UInt8] {
        var options = PlatformOptions()
        // Without a terminal there is nothing to ask at.
        options.createSession = true
        // Git has programs of its own for what it fetches, which end with it: the session is a process group too.
        options.teardownSequence = [.gracefulShutDown(toProcessGroup: true, allowedDurationToNextStep: .seconds(2))]
        let all = ["--git-dir=\(folder)", "-c", "gc.autoDetach=false", "-c", "core.hooksPath=/dev/null"] + arguments
        let variables = Dictionary(uniqueKeysWithValues: environment.map { (Environment.Key(stringLiteral: $0.key), $0.value) })
        return try await withThrowingTaskGroup(of: [UInt8]?.self) { group in
            group.addTask { [options] in
                let result = try await Subprocess::run(
                    .name("git"), arguments: Arguments(all), environment: .custom(variables), platformOptions: options,
                    output: .bytes(limit: largestOutput), error: .string(limit: 64 << 10))
                guard result.terminationStatus.isSuccess else {
                    throw Failure(description: "git \(arguments[0]): \(GitProgram.lastLine(result.standardError))")
                }
                return result.standardOutput
            }
            group.addTask { [timeLimit] in
                try await Task.sleep(for: timeLimit.duration)
                return nil
            }
            defer { group.cancelAll() }
            guard let first = try await group.next(), let output = first else {
                throw Failure(description: "git \(arguments[0]) took longer than \(timeLimit.seconds) s")
            }
            return output
        }
    }

    /// Addresses may carry a password.
    private static func lastLine(_ text: String) -> String {
        let line = text.split(separator: "\n").last.map(String.init) ?? "it said nothing"
        return line.replacing(/\/\/[^\/@ ]*@/, with: "//")
    }
}

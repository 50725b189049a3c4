// The object files of the kernels as the compiler made them: nothing that the linker could merge between the compiles,
// nothing called from outside, no instruction that the processor may not have.
import CSupport
import Foundation
import Testing

@testable import KVSieveCore

/// One compile: module name, the prefix of its mangled names, registers that its instruction set lacks.
private struct Compile: Sendable, CustomTestStringConvertible {
    let module: String
    let absent: [String]
    var testDescription: String { module }
    /// $s14KVSieveKernels
    var prefix: String { "$s\(module.utf8.count)\(module)" }

    #if arch(x86_64)
    static let all = [
        Compile(module: "KVSieveKernels", absent: ["%ymm", "%zmm"]),
        Compile(module: "KVSieveKernelsAVX2", absent: ["%zmm", "%xmm16", "%ymm16", "{%k1}"]),
        Compile(module: "KVSieveKernelsAVX512", absent: []),
        Compile(module: "KVSieveKernelsAVX512BF16", absent: []),
    ]
    #else
    static let all = [Compile(module: "KVSieveKernels", absent: [])]
    #endif

    /// Object files beside the test bundle, without those of deleted sources.
    var objects: [String] {
        let folder = bundle.appendingPathComponent("\(module).build")
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        let sources = bundle.appendingPathComponent("\(module).build/sources")
        let current = (try? String(contentsOf: sources, encoding: .utf8)) ?? ""
        return names.filter { $0.hasSuffix(".swift.o") && (current.isEmpty || current.contains($0.dropLast(2))) }
            .map { folder.appendingPathComponent($0).path }.sorted()
    }
}

/// The folder of the executable that runs.
private let bundle = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()

private func run(_ tool: String, _ arguments: [String]) throws -> [String] {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [tool] + arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = FileHandle.nullDevice
    try process.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return String(decoding: data, as: UTF8.self).split(separator: "\n").map(String.init)
}

private func has(_ tool: String) -> Bool { (try? run(tool, ["--version"]).isEmpty == false) ?? false }

private let toolsAreThere = has("nm") && has("objdump")

/// Names the kernels may call or define weakly, besides their own module's.
private func allowed(_ symbol: String) -> Bool {
    // A marker of one byte that every Swift object has, the same in all.
    symbol == "__swift_reflection_version"
        // The address sanitizer's own, when the tests are built with it.
        || symbol.hasPrefix("__asan_") || symbol.hasPrefix("asan.") || symbol.hasPrefix("___asan_")
}

// Not in the arguments of a test, where a closure crashes the compiler of Swift 6.0.
private let narrowCompiles = Compile.all.filter { !$0.absent.isEmpty }

@Suite(.enabled(if: toolsAreThere, "binutils are not installed")) struct ObjectTests {
    @Test(arguments: Compile.all) private func thereAreObjects(_ compile: Compile) throws {
        try #require(compile.objects.count >= 7, "looked in \(bundle.path)")
    }

    /// A weak symbol that two compiles share would be linked once, for everybody.
    @Test(arguments: Compile.all) private func noWeakSymbolIsShared(_ compile: Compile) throws {
        let weak = try run("nm", compile.objects).map { $0.split(separator: " ").map(String.init) }
            .filter { $0.count >= 2 && ["W", "w", "V", "v", "u"].contains($0[$0.count - 2]) }.compactMap(\.last)
        let shared = Set(weak).filter { !$0.hasPrefix(compile.prefix) && !allowed($0) }
        print("\(compile.module): \(Set(weak).count) weak symbols, not its own: \(shared.sorted())")
        #expect(shared.isEmpty, "\(shared.sorted())")
    }

    /// No libm, no retain or release, no allocation: what is called is the module's own.
    @Test(arguments: Compile.all) private func nothingOutsideIsNeeded(_ compile: Compile) throws {
        let needed = try run("nm", ["--undefined-only"] + compile.objects)
            .compactMap { $0.split(separator: " ").last.map(String.init) }.filter { !$0.hasSuffix(":") }
        let outside = Set(needed).filter { !$0.hasPrefix(compile.prefix) && !allowed($0) }
        print("\(compile.module): \(Set(needed).count) undefined symbols, not its own: \(outside.sorted())")
        #expect(outside.isEmpty, "\(outside.sorted())")
    }

    /// Calls are to the module's own functions: to another object's by its relocation, within one by its name.
    @Test(arguments: Compile.all) private func callsStayInTheModule(_ compile: Compile) throws {
        var outside: Set<String> = []
        var own: [String: Int] = [:]
        var pending = false
        for line in try run("objdump", ["-dr", "--no-show-raw-insn"] + compile.objects) {
            if pending, line.contains("R_X86_64_") || line.contains("R_AARCH64_") {
                let symbol = String(line.split(separator: "\t").last ?? "").replacingOccurrences(of: "-0x4", with: "")
                if symbol.hasPrefix(compile.prefix) {
                    own[symbol, default: 0] += 1
                } else if !allowed(symbol) {
                    outside.insert(symbol)
                }
            }
            let fields = line.split(separator: "\t", omittingEmptySubsequences: true)
            let instruction = fields.count > 1 ? fields[1].split(separator: " ").first ?? "" : ""
            pending = instruction.hasPrefix("call") || instruction == "bl" || instruction.hasPrefix("jmp")
            // call *%rax: through a pointer.
            if pending, instruction.hasPrefix("call"), line.contains("*") { outside.insert(line) }
        }
        print("\(compile.module): \(own.values.reduce(0, +)) calls to \(own.count) functions of its own")
        #expect(outside.isEmpty, "\(outside.sorted())")
        #expect(!own.isEmpty, "kernelTable() calls at least something in a debug build: was anything read?")
    }

    /// A register that the compile must not use shows that a wider one's code was merged into it.
    @Test(arguments: narrowCompiles) private func onlyItsOwnRegistersAreUsed(
        _ compile: Compile
    ) throws {
        let lines = try run("objdump", ["-d", "--no-show-raw-insn"] + compile.objects)
        #expect(lines.count > 500)
        for register in compile.absent {
            #expect(lines.first { $0.contains(register) } == nil)
        }
    }

    /// A trap in a kernel would end the host's process. kernelTable() itself converts two constants, checked where the
    /// constants are functions of another object (debug builds).
    @Test(arguments: Compile.all) private func noKernelCanTrap(_ compile: Compile) throws {
        var function = ""
        var traps: Set<String> = []
        for line in try run("objdump", ["-d", "--no-show-raw-insn"] + compile.objects) {
            if line.hasSuffix(">:") { function = String(line.drop { $0 != "<" }) }
            if line.hasSuffix("\tud2") || line.contains("\tbrk") { traps.insert(function) }
        }
        #expect(!function.isEmpty)
        #expect(traps.filter { !$0.hasSuffix("11kernelTableSo15support_kernelsVyF>:") }.isEmpty, "\(traps)")
    }
}

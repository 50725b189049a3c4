// Writes what is derived from the exported functions, the template and the registry; run by `make header`.
//
//     kvsieve-header COMPILER_HEADER TEMPLATE ROOT            writes
//     kvsieve-header COMPILER_HEADER TEMPLATE ROOT --check    exit 1 and "stale: include/kvsieve.h" where a file differs
//
// COMPILER_HEADER is KVSieveABI-Swift.h, which `swift build` leaves in .build; TEMPLATE is kvsieve.h.in.

import Foundation
import HeaderComposer

func fail(_ sentence: String) -> Never {
    FileHandle.standardError.write(Data("kvsieve-header: \(sentence)\n".utf8))
    exit(2)
}

let arguments = CommandLine.arguments.dropFirst()
let paths = Array(arguments.filter { !$0.hasPrefix("--") })
let options = arguments.filter { $0.hasPrefix("--") }
guard paths.count == 3, options.isEmpty || options == ["--check"] else {
    fail("usage: kvsieve-header COMPILER_HEADER TEMPLATE ROOT [--check]")
}
let root = URL(fileURLWithPath: paths[2], isDirectory: true)
let methods = "Sources/KVSieveMethods"

func read(_ path: String) throws -> String { try String(contentsOfFile: path, encoding: .utf8) }

func inRoot(_ path: String) -> String { root.appendingPathComponent(path).path }

do {
    let composer = try Composer(
        compilerHeader: try read(paths[0]), template: try read(paths[1]), methods: headerMethods())
    let sources = try FileManager.default.contentsOfDirectory(atPath: inRoot(methods))
    let texts = [
        ("include/kvsieve.h", try composer.header()),
        ("bindings/python/src/kvsieve/_prototypes.py", composer.pythonPrototypes()),
        ("bindings/python/src/kvsieve/_keywords.py", composer.pythonKeywords()),
        ("Tests/ABI/functions.txt", composer.signatures()),
        ("README.md", try composer.readme(try read(inRoot("README.md")), sources: sources)),
        ("\(methods)/README.md", try composer.methodsReadme(try read(inRoot("\(methods)/README.md")))),
    ]
    let stale = texts.filter { path, text in (try? read(inRoot(path))) != text }
    for (path, text) in stale {
        if options.isEmpty {
            let file = root.appendingPathComponent(path)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try text.write(to: file, atomically: true, encoding: .utf8)
        }
        print("\(options.isEmpty ? "wrote" : "stale"): \(path)")
    }
    exit(options.isEmpty || stale.isEmpty ? 0 : 1)
} catch {
    fail("\(error)")
}

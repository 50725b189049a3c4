// Writes what is derived from the exported functions, the types header and the registry; run by `make header`.
//
//     kvsieve-header COMPILER_HEADER TYPES_HEADER ROOT            writes
//     kvsieve-header COMPILER_HEADER TYPES_HEADER ROOT --check    exit 1 and "stale: include/kvsieve.h" where a file differs
//
// COMPILER_HEADER is KVSieveABI-Swift.h, which `swift build` leaves in .build.

import Foundation
import HeaderComposer
import KVSieveCore
import KVSieveMethods

func fail(_ sentence: String) -> Never {
    FileHandle.standardError.write(Data("kvsieve-header: \(sentence)\n".utf8))
    exit(2)
}

let arguments = CommandLine.arguments.dropFirst()
let paths = arguments.filter { !$0.hasPrefix("--") }
let options = arguments.filter { $0.hasPrefix("--") }
guard paths.count == 3, options.isEmpty || options == ["--check"] else {
    fail("usage: kvsieve-header COMPILER_HEADER TYPES_HEADER ROOT [--check]")
}
let check = !options.isEmpty
let root = URL(fileURLWithPath: paths[paths.startIndex + 2], isDirectory: true)

func read(_ path: String) throws -> String { try String(contentsOfFile: path, encoding: .utf8) }

do {
    let composer = try Composer(
        compilerHeader: try read(paths[paths.startIndex]), typesHeader: try read(paths[paths.startIndex + 1]),
        methods: headerMethods())
    var texts = [
        ("include/kvsieve.h", try composer.header()),
        ("bindings/python/src/kvsieve/_prototypes.py", composer.pythonPrototypes()),
        ("Tests/ABI/functions.txt", composer.signatures()),
    ]
    let readme = root.appendingPathComponent("README.md").path
    if FileManager.default.fileExists(atPath: readme) {
        texts.append(("README.md", try composer.readme(try read(readme))))
    } else if check {
        print("stale: README.md (there is none)")
    }
    var stale = check && texts.count == 3
    for (path, text) in texts {
        let file = root.appendingPathComponent(path)
        if (try? read(file.path)) == text { continue }
        stale = true
        if check {
            print("stale: \(path)")
        } else {
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try text.write(to: file, atomically: true, encoding: .utf8)
            print("wrote: \(path)")
        }
    }
    exit(check && stale ? 1 : 0)
} catch {
    fail("\(error)")
}

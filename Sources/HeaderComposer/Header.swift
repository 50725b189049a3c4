// The template kvsieve.h.in, its prototypes compared with the compiler's and its two markers replaced by the enums of the
// registry: include/kvsieve.h.

public struct Composer {
    let functions: [Function]
    let template: String
    let registry: Registry

    /// Reads the compiler's header, the template and the registry's rows. A function that one of the first two lacks, or
    /// declares otherwise, is an error.
    public init(compilerHeader: String, template: String, methods: [HeaderMethod]) throws(HeaderError) {
        self.template = template
        registry = try Registry(methods)
        let declared = Self.typeNames(template)
        functions = try HeaderComposer.functions(inCompilerHeader: compilerHeader, declared)
        var promised: [String: Function] = [:]
        for function in try HeaderComposer.functions(inTemplate: template, declared) {
            guard promised.updateValue(function, forKey: function.name) == nil else {
                throw HeaderError("kvsieve.h.in declares \(function.name) twice")
            }
        }
        for function in functions {
            guard let here = promised.removeValue(forKey: function.name) else {
                throw HeaderError("kvsieve.h.in lacks a function that KVSieveABI exports: \(function.signature)")
            }
            guard here == function else {
                throw HeaderError(
                    "kvsieve.h.in declares\n    \(here.signature)\nand KVSieveABI exports\n    \(function.signature)")
            }
        }
        if let rest = promised.keys.min() {
            throw HeaderError("kvsieve.h.in declares a function that KVSieveABI does not export: \(rest)")
        }
    }

    /// include/kvsieve.h
    public func header() throws(HeaderError) -> String {
        var lines: [String] = []
        var enums = ["/*@methods*/": registry.methodEnum(), "/*@parameters*/": try registry.parameterEnum()]
        for line in template.lines() {
            guard line.hasPrefix("/*@") else {
                lines.append(line)
                continue
            }
            guard let text = enums.removeValue(forKey: line) else {
                throw HeaderError("kvsieve.h.in: '\(line)' is not understood, or is there twice")
            }
            lines += text
        }
        if let marker = enums.keys.min() { throw HeaderError("kvsieve.h.in: \(marker) is missing") }
        for line in lines where line.count > headerWidth || !line.allSatisfy(\.isASCII) {
            throw HeaderError("a line of the header is over \(headerWidth) columns, or not ASCII: '\(line)'")
        }
        return lines.joined(separator: "\n")
    }

    /// Names that the template declares by typedef.
    private static func typeNames(_ template: String) -> Set<String> {
        var names: Set<String> = []
        for line in template.lines() where line.hasSuffix(";") && (line.hasPrefix("typedef ") || line.hasPrefix("} ")) {
            if let name = line.dropLast().split(separator: " ").last { names.insert(String(name)) }
        }
        return names
    }
}

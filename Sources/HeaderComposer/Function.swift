// A function as it is declared: by the Swift compiler (KVSieveABI-Swift.h), and by us (kvsieve.h.in, with its comment).

public struct Function: Equatable {
    struct Parameter: Equatable {
        let type: CType
        let name: String
    }
    let name: String
    let result: CType
    let parameters: [Parameter]

    /// "kvsieve_status kvsieve_plan_finish(kvsieve_plan *plan);"
    var signature: String {
        let list = parameters.map { $0.type.declaring($0.name) }.joined(separator: ", ")
        return "\(result.declaring(name))(\(list.isEmpty ? "void" : list));"
    }

    /// `text` is "kvsieve_status kvsieve_plan_finish(kvsieve_plan *plan)".
    init(_ text: String, declared: Set<String>) throws(HeaderError) {
        guard let open = text.firstIndex(of: "("), text.hasSuffix(")") else {
            throw HeaderError("no parameter list in: \(text)")
        }
        (result, name) = try typeAndName(text[..<open], declared)
        guard name.hasPrefix("kvsieve_"), name.allSatisfy({ $0.isLowercase || $0.isNumber || $0 == "_" }) else {
            throw HeaderError("an exported name must be kvsieve_ and lower case: \(name)")
        }
        let list = text[open...].dropFirst().dropLast()
        guard !list.contains("(") else {
            throw HeaderError("\(name) has an inline function pointer: use a typedef of kvsieve.h.in")
        }
        var parameters: [Parameter] = []
        for item in list == "void" ? [] : list.split(separator: ",") {
            let (type, name) = try typeAndName(item, declared)
            // The compiler writes out_ for out.
            parameters.append(.init(type: type, name: name.hasSuffix("_") ? String(name.dropLast()) : name))
        }
        self.parameters = parameters
    }
}

/// Splits "kvsieve_model const * _Nullable model" into type and name.
private func typeAndName(_ text: Substring, _ declared: Set<String>) throws(HeaderError) -> (CType, String) {
    let words = text.replacing("*", with: " * ").split(separator: " ").map(String.init)
    guard let name = words.last, words.count > 1, name.allSatisfy({ $0.isLetter || $0.isNumber || $0 == "_" }),
        !name.hasPrefix("_"), name != "const"
    else { throw HeaderError("a parameter needs a name: '\(text)'") }
    return (try CType(words.dropLast(), declared: declared), name)
}

/// All functions of the compiler's header. Anything declared there that is not understood is an error.
func functions(inCompilerHeader text: String, _ declared: Set<String>) throws(HeaderError) -> [Function] {
    var result: [Function] = []
    for line in text.lines() {
        if line.hasPrefix("SWIFT_EXTERN ") {
            let words = line.dropFirst("SWIFT_EXTERN ".count)
            guard let end = words.firstRange(of: " SWIFT_NOEXCEPT"),
                [";", " SWIFT_WARN_UNUSED_RESULT;"].contains(words[end.upperBound...])
            else { throw HeaderError("what follows the parameters is not understood in: \(line)") }
            result.append(try Function(String(words[..<end.lowerBound]), declared: declared))
        } else if ["SWIFT_CLASS", "@interface", "typedef SWIFT_ENUM"].contains(where: line.hasPrefix) {
            throw HeaderError("only @_cdecl functions may be public in KVSieveABI, not: \(line)")
        }
    }
    if result.isEmpty { throw HeaderError("the compiler's header has no line that begins with SWIFT_EXTERN") }
    return result
}

/// All prototypes of the template. Each follows its comment, which has the four labels and a line for each parameter.
func functions(inTemplate text: String, _ declared: Set<String>) throws(HeaderError) -> [Function] {
    var result: [Function] = []
    var comment: [String] = []
    var prototype = ""
    for line in text.lines() {
        if !prototype.isEmpty || line.hasPrefix("KVSIEVE_API ") {
            prototype += " " + line.trimmed()
            guard prototype.hasSuffix(";") else { continue }
            var words = prototype.dropFirst(" KVSIEVE_API ".count).dropLast()
            let checked = words.hasPrefix("KVSIEVE_CHECKED ")
            if checked { words = words.dropFirst("KVSIEVE_CHECKED ".count) }
            let function = try Function(String(words), declared: declared)
            guard checked == (function.result.spelling == "kvsieve_status") else {
                throw HeaderError("\(function.name): KVSIEVE_CHECKED is for a function that returns a status")
            }
            try check(comment, of: function)
            result.append(function)
            (prototype, comment) = ("", [])
        } else if line.hasPrefix("/** ") {
            comment = [line]
        } else if line.hasPrefix(" *") {
            comment.append(line)
        } else {
            comment = []
        }
    }
    guard prototype.isEmpty else { throw HeaderError("kvsieve.h.in: a prototype has no end:\(prototype.prefix(80))") }
    return result
}

private func check(_ comment: [String], of function: Function) throws(HeaderError) {
    let labels = comment.compactMap { $0.firstMatch(of: #/^ \*  (Shapes|Cost|Memory|Errors)  /#)?.1 }
    guard labels == ["Shapes", "Cost", "Memory", "Errors"] else {
        throw HeaderError(
            "\(function.name): its comment must have the lines Shapes, Cost, Memory, Errors, in this order")
    }
    let described = comment.map { $0.dropFirst(" *  Shapes  ".count).split(separator: " ").first }
    for parameter in function.parameters where !described.contains(Substring(parameter.name)) {
        throw HeaderError("\(function.name): under Shapes there is no line that begins with '\(parameter.name)'")
    }
}

// One exported function, read from the header that the Swift compiler writes (KVSieveABI-Swift.h).

public struct Function {
    struct Parameter {
        let type: CType
        let name: String
    }
    public let name: String
    let result: CType
    let parameters: [Parameter]
    let comment: DocComment

    /// "kvsieve_status kvsieve_plan_finish(kvsieve_plan *plan);"
    var signature: String {
        let list = parameters.map { $0.type.declaring($0.name) }.joined(separator: ", ")
        return "\(result.declaring(name))(\(list.isEmpty ? "void" : list));"
    }

    /// The prototype for the header, broken after a comma when it is too long.
    var prototype: [String] {
        let whole = "KVSIEVE_API " + signature
        if whole.count <= headerWidth { return [whole] }
        let head = "KVSIEVE_API \(result.declaring(name))("
        var result: [String] = []
        var line = head
        for (index, parameter) in parameters.enumerated() {
            let text = parameter.type.declaring(parameter.name) + (index == parameters.count - 1 ? ");" : ",")
            let blank = line == head || line.hasSuffix(" ") ? "" : " "
            if line.count + blank.count + text.count > headerWidth {
                result.append(line)
                line = String(repeating: " ", count: head.count) + text
            } else {
                line += blank + text
            }
        }
        return result + [line]
    }
}

/// All functions of the compiler's header, in its order. Anything declared there that is not understood is an error.
public func functions(inCompilerHeader text: String, declared: Set<String>) throws(HeaderError) -> [Function] {
    var result: [Function] = []
    var comment: [String] = []
    for line in text.lines() {
        if line.hasPrefix("///") {
            comment.append(String(line.dropFirst(line.hasPrefix("/// ") ? 4 : 3)))
        } else if line.hasPrefix("SWIFT_EXTERN ") {
            result.append(try function(line, comment: comment, declared: declared))
            comment = []
        } else if line.hasPrefix("SWIFT_CLASS") || line.hasPrefix("@interface") || line.hasPrefix("typedef SWIFT_ENUM")
        {
            throw HeaderError("only @_cdecl functions may be public in KVSieveABI, not: \(line)")
        } else if !line.trimmed().isEmpty {
            comment = []
        }
    }
    if result.isEmpty {
        throw HeaderError("the compiler's header declares no function (no line begins with SWIFT_EXTERN)")
    }
    return result
}

private func function(_ line: String, comment: [String], declared: Set<String>) throws(HeaderError) -> Function {
    guard let open = line.firstIndex(of: "("), let end = line.firstRange(of: ") SWIFT_NOEXCEPT")?.lowerBound else {
        throw HeaderError("no parameter list, or no SWIFT_NOEXCEPT, in: \(line)")
    }
    let rest = line[end...].dropFirst().split(separator: " ").map { $0.replacing(";", with: "") }
    for word in rest where !["SWIFT_NOEXCEPT", "SWIFT_WARN_UNUSED_RESULT"].contains(word) {
        throw HeaderError("'\(word)' is not understood in: \(line)")
    }
    let (type, name) = try typeAndName(String(line[..<open].dropFirst("SWIFT_EXTERN ".count)), declared: declared)
    guard name.hasPrefix("kvsieve_"), name.allSatisfy({ $0.isLowercase || $0.isNumber || $0 == "_" }) else {
        throw HeaderError("an exported name must be kvsieve_ and lower case: \(name)")
    }
    let list = String(line[line.index(after: open)..<end])
    guard !list.contains("(") else {
        throw HeaderError("\(name) has an inline function pointer: use a typedef of the types header")
    }
    var parameters: [Function.Parameter] = []
    if list != "void" {
        for item in list.split(separator: ",") {
            var (type, name) = try typeAndName(String(item), declared: declared)
            if name.hasSuffix("_") { name.removeLast() }  // the compiler writes out_ for out
            parameters.append(.init(type: type, name: name))
        }
    }
    let doc: DocComment
    do { doc = try DocComment(compiler: comment) } catch { throw HeaderError("\(name): \(error)") }
    for (documented, _) in doc.parameters where !parameters.contains(where: { $0.name == documented }) {
        throw HeaderError("\(name): the comment describes '\(documented)', which is no parameter")
    }
    return Function(name: name, result: type, parameters: parameters, comment: doc)
}

/// Splits "kvsieve_model const * _Nullable model" into type and name.
private func typeAndName(_ text: String, declared: Set<String>) throws(HeaderError) -> (CType, String) {
    let words = text.replacing("*", with: " * ").split(separator: " ").map(String.init)
    guard let name = words.last, words.count > 1, name.allSatisfy({ $0.isLetter || $0.isNumber || $0 == "_" }),
        !name.hasPrefix("_"), name != "const"
    else { throw HeaderError("a parameter needs a name: '\(text.trimmed())'") }
    return (try CType(compiler: words.dropLast().joined(separator: " "), declared: declared), name)
}

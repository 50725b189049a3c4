// The compiler's spelling of a C type ("kvsieve_model const * _Nullable") turned into ours ("const kvsieve_model *").

/// A C type as it stands before a name: "int32_t ", "const kvsieve_model *", "kvsieve_plan **".
struct CType: Equatable {
    /// Without a blank at the end: "int32_t", "const kvsieve_model *".
    let spelling: String

    /// A declaration of `name` with this type.
    func declaring(_ name: String) -> String { spelling + (spelling.hasSuffix("*") ? "" : " ") + name }

    static let fixedWidth: Set<String> = [
        "void", "char", "float", "double", "int8_t", "uint8_t", "int16_t", "uint16_t", "int32_t", "uint32_t", "int64_t",
        "uint64_t",
    ]

    /// `declared` are the type names of the types header.
    init(compiler text: String, declared: Set<String>) throws(HeaderError) {
        let words = text.replacing("*", with: " * ").split(separator: " ").map(String.init)
            .filter { !["_Nullable", "_Nonnull", "_Null_unspecified"].contains($0) }
        guard let base = words.first else { throw HeaderError("a type is missing: '\(text)'") }
        guard Self.fixedWidth.contains(base) || declared.contains(base) else {
            throw HeaderError(
                "type '\(base)' in '\(text)' is neither of fixed width nor declared in the types header; "
                    + "export Int32, Int64 or a type of kvsieve_types.h")
        }
        var spelling = base
        var constant = false
        var stars = 0
        for word in words.dropFirst() {
            switch word {
            case "const" where stars == 0 && !constant:
                constant = true
            case "const" where spelling.hasSuffix("*"):
                spelling += "const"
            case "*":
                spelling += stars == 0 || spelling.hasSuffix("const") ? " *" : "*"
                stars += 1
            default:
                throw HeaderError("'\(word)' in type '\(text)' is not understood")
            }
        }
        if spelling.hasSuffix("const") { throw HeaderError("a constant pointer as parameter or result: '\(text)'") }
        self.spelling = (constant ? "const " : "") + spelling
    }
}

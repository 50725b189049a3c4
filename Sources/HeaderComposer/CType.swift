// A C type, spelled one way: the compiler writes "kvsieve_model const * _Nullable", the template "const kvsieve_model *".

struct CType: Equatable {
    /// Without a blank at the end: "int32_t", "const kvsieve_model *", "kvsieve_plan **".
    let spelling: String

    /// A declaration of `name` with this type.
    func declaring(_ name: String) -> String { spelling + (spelling.hasSuffix("*") ? "" : " ") + name }

    static let fixedWidth: Set<String> = [
        "void", "char", "float", "double", "int8_t", "uint8_t", "int16_t", "uint16_t", "int32_t", "uint32_t", "int64_t",
        "uint64_t",
    ]

    /// `declared` are the type names of the template.
    init(_ words: [String], declared: Set<String>) throws(HeaderError) {
        let text = words.joined(separator: " ")
        var words = words.filter { !["_Nullable", "_Nonnull", "_Null_unspecified"].contains($0) }
        if words.first == "const", words.count > 1 { words.swapAt(0, 1) }
        guard let base = words.first else { throw HeaderError("a type is missing: '\(text)'") }
        guard Self.fixedWidth.contains(base) || declared.contains(base) else {
            throw HeaderError(
                "type '\(base)' in '\(text)' is neither of fixed width nor declared in kvsieve.h.in; "
                    + "export Int32, Int64 or one of its types")
        }
        let constant = words.dropFirst().first == "const"
        let stars = words.dropFirst(constant ? 2 : 1)
        for word in stars where word != "*" { throw HeaderError("'\(word)' in type '\(text)' is not understood") }
        spelling = (constant ? "const " : "") + base + (stars.isEmpty ? "" : " ") + stars.joined()
    }
}

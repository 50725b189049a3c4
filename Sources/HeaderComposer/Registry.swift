// What the generator needs to know of the registry, as plain values, and the two enums of the header made of it.

public struct HeaderMethod: Sendable {
    let id: Int32
    let name, constant, summary, paper: String
    let decodes: Bool
    let parameters: [HeaderParameter]

    public init(
        id: Int32, name: String, constant: String, summary: String, paper: String, decodes: Bool,
        parameters: [HeaderParameter]
    ) {
        (self.id, self.name, self.constant) = (id, name, constant)
        (self.summary, self.paper, self.decodes, self.parameters) = (summary, paper, decodes, parameters)
    }
}

public struct HeaderParameter: Sendable {
    let id: Int32
    let name, constant, summary: String
    let initial, lowest, highest: Double

    public init(
        id: Int32, name: String, constant: String, summary: String, initial: Double, lowest: Double, highest: Double
    ) {
        (self.id, self.name, self.constant, self.summary) = (id, name, constant, summary)
        (self.initial, self.lowest, self.highest) = (initial, lowest, highest)
    }

    var bounds: String { "\(number(lowest)) .. \(number(highest))" }
}

/// 0.25, 32, 2^20, 2^31-1.
func number(_ value: Double) -> String {
    guard let whole = Int64(exactly: value) else { return "\(value)" }
    for power in 16..<53 {
        if whole == 1 << power { return "2^\(power)" }
        if whole == (1 << power) - 1 { return "2^\(power)-1" }
    }
    return "\(whole)"
}

/// The enums of methods and parameters.
struct RegistryText {
    let methods: [HeaderMethod]
    /// One letter a method, for the parameters' comments: the first of its name that no earlier method has.
    let letters: [Character]

    init(_ methods: [HeaderMethod]) throws(HeaderError) {
        self.methods = methods
        guard Set(methods.map(\.id)).count == methods.count, Set(methods.map(\.name)).count == methods.count else {
            throw HeaderError("two methods of the registry have the same id or name")
        }
        var letters: [Character] = []
        for method in methods {
            guard let letter = method.name.uppercased().first(where: { !letters.contains($0) }) else {
                throw HeaderError("no letter is left for \(method.name)")
            }
            letters.append(letter)
        }
        self.letters = letters
        for method in methods {
            guard !method.name.isEmpty, method.name.allSatisfy({ $0.isASCII && ($0.isLowercase || $0.isNumber) }) else {
                throw HeaderError("a method's name is lower-case letters and digits: '\(method.name)'")
            }
            for (name, constant) in [(method.name, method.constant)] + method.parameters.map({ ($0.name, $0.constant) })
            {
                let prefixes = ["KVSIEVE_", method.constant + "_"]
                guard prefixes.contains(where: { constant == $0 + name.uppercased() }) else {
                    throw HeaderError("'\(constant)' must be KVSIEVE_ (and the method) and '\(name)' in upper case")
                }
            }
            guard Set(method.parameters.map(\.id)).count == method.parameters.count else {
                throw HeaderError("\(method.name) has a parameter twice")
            }
            for text in [method.summary, method.paper] + method.parameters.map(\.summary) {
                guard text.allSatisfy(\.isASCII), !text.contains("*/"), !text.contains("\n"), !text.isEmpty else {
                    throw HeaderError("\(method.name): a summary is one line of ASCII: '\(text)'")
                }
            }
        }
    }

    func methodEnum() -> [String] {
        let width = methods.map(\.constant.count).max() ?? 0
        var lines = [
            heading("Methods"), "", "/** Methods, by the paper that published them. Ids are pinned for ever. */",
            "enum {",
        ]
        for (index, method) in methods.sorted(by: { $0.id < $1.id }).enumerated() {
            let comma = index == methods.count - 1 ? " " : ","
            let head = "    \(method.constant.padded(to: width)) = \(method.id)\(comma)  /**< "
            lines += trailing(head, method.summary, " [\(method.paper)]")
        }
        return lines + ["};"]
    }

    func parameterEnum() throws(HeaderError) -> [String] {
        var rows: [(parameter: HeaderParameter, owners: [HeaderMethod])] = []
        for method in methods {
            for parameter in method.parameters {
                guard let place = rows.firstIndex(where: { $0.parameter.id == parameter.id }) else {
                    rows.append((parameter, [method]))
                    continue
                }
                let first = rows[place].parameter
                guard first.constant == parameter.constant, first.summary == parameter.summary,
                    first.name == parameter.name
                else {
                    throw HeaderError(
                        "parameter \(parameter.id) is '\(first.constant)' and '\(parameter.constant)', or has two summaries"
                    )
                }
                rows[place].owners.append(method)
            }
        }
        guard Set(rows.map(\.parameter.constant)).count == rows.count else {
            throw HeaderError("two parameters have the same constant")
        }
        rows.sort { $0.parameter.id < $1.parameter.id }
        let width = rows.map(\.parameter.constant.count).max() ?? 0
        let legend = zip(letters, methods).map { "\($0) \($1.name)" }.joined(separator: ", ")
        let manual = [
            "Letters: the methods that have it (\(legend)).",
            "In brackets: the default (several: in the order of the letters); the least and the greatest value.",
        ].flatMap { wrapped($0, width: headerWidth - 7) }
        var lines = [heading("Parameters"), ""]
        lines += manual.enumerated().map { ($0 == 0 ? "/** " : " *  ") + $1 + ($0 == manual.count - 1 ? " */" : "") }
        lines.append("enum {")
        for (index, row) in rows.enumerated() {
            let comma = index == rows.count - 1 ? " " : ","
            let mask = zip(letters, methods).map { letter, method in
                row.owners.contains { $0.id == method.id } ? String(letter) : " "
            }.joined()
            let head = "    \(row.parameter.constant.padded(to: width)) = \(row.parameter.id)\(comma) /**< "
            let values = row.owners.flatMap { $0.parameters.filter { $0.id == row.parameter.id } }
            lines += trailing(
                head, mask + " " + row.parameter.summary, " [\(defaults(values))]", indent: mask.count + 1)
        }
        return lines + ["};"]
    }

    /// "1024; 1 .. 4096", "32 32 16 8; 1 .. 4096".
    private func defaults(_ values: [HeaderParameter]) -> String {
        let initials = values.map { number($0.initial) }, bounds = values.map(\.bounds)
        let one = Set(initials).count == 1 ? initials[0] : initials.joined(separator: " ")
        return one + "; " + (Set(bounds).count == 1 ? bounds[0] : bounds.joined(separator: ", "))
    }

    /// `head` text `tail` and the comment's end on one line, or on as many as they need; `tail` is broken off first.
    private func trailing(_ head: String, _ text: String, _ tail: String, indent: Int = 0) -> [String] {
        let width = headerWidth - head.count - indent - " */".count
        let letters = text.prefix(indent), words = String(text.dropFirst(indent))
        let breaks = words.count <= width && words.count + tail.count > width
        let lines = breaks ? [words] + wrapped(tail.trimmed(), width: width) : wrapped(words + tail, width: width)
        let blank = String(repeating: " ", count: head.count + indent)
        return lines.enumerated().map {
            ($0 == 0 ? head + letters : blank) + $1 + ($0 == lines.count - 1 ? " */" : "")
        }
    }
}

/// "/* == Methods ====... */", 78 columns like those of the types header.
func heading(_ title: String) -> String {
    let head = "/* == \(title) "
    return head + String(repeating: "=", count: max(2, 77 - head.count)) + " */"
}

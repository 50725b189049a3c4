// What the generator needs to know of the registry, as plain values, and the two enums of the header made of it.

public struct HeaderMethod: Sendable {
    let id: Int32
    let name, summary, choose, paper: String
    let decodes: Bool
    let parameters: [HeaderParameter]

    public init(
        id: Int32, name: String, summary: String, choose: String, paper: String, decodes: Bool,
        parameters: [HeaderParameter]
    ) {
        (self.id, self.name, self.summary, self.paper) = (id, name, summary, paper)
        (self.decodes, self.parameters) = (decodes, parameters)
        // The line may begin with "choose it when" or go on from there.
        let start = "choose it when "
        self.choose = choose.lowercased().hasPrefix(start) ? String(choose.dropFirst(start.count)) : choose
    }

    var constant: String { "KVSIEVE_" + name.uppercased() }

    /// Ids from 200 on belong to one method.
    func constant(_ parameter: HeaderParameter) -> String {
        (parameter.id < 200 ? "KVSIEVE" : constant) + "_" + parameter.name.uppercased()
    }
}

public struct HeaderParameter: Sendable {
    let id: Int32
    let name, summary, bounds: String
    let initial: Double
    /// Are its values two or three that are counted from 0? Python has words for some of them.
    let isChoice: Bool

    /// `kind` is "any", "whole" or "odd".
    public init(
        id: Int32, name: String, summary: String, initial: Double, lowest: Double, highest: Double, kind: String
    ) {
        (self.id, self.name, self.summary, self.initial) = (id, name, summary, initial)
        bounds = "\(kind) \(number(lowest))..\(number(highest))"
        isChoice = kind == "whole" && lowest == 0 && highest <= 2
    }
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

struct Registry {
    let methods: [HeaderMethod]

    init(_ methods: [HeaderMethod]) throws(HeaderError) {
        self.methods = methods.sorted { $0.id < $1.id }
        guard Set(methods.map(\.id)).count == methods.count, Set(methods.map(\.name)).count == methods.count else {
            throw HeaderError("two methods of the registry have the same id or name")
        }
        for method in methods {
            guard !method.name.isEmpty, method.name.allSatisfy({ $0.isASCII && ($0.isLowercase || $0.isNumber) }) else {
                throw HeaderError("a method's name is lower-case letters and digits: '\(method.name)'")
            }
            guard Set(method.parameters.map(\.id)).count == method.parameters.count else {
                throw HeaderError("\(method.name) has a parameter twice")
            }
            for text in [method.summary, method.choose, method.paper] + method.parameters.map(\.summary) {
                guard text.allSatisfy(\.isASCII), !text.contains("*/"), !text.contains("\n"), !text.isEmpty else {
                    throw HeaderError("\(method.name): a summary is one line of ASCII: '\(text)'")
                }
            }
        }
    }

    func methodEnum() -> [String] {
        var lines = ["enum {"]
        for method in methods {
            let sentences = ["\(method.summary). \(method.paper).", "Choose it when \(method.choose)."]
            let text = sentences.flatMap {
                wrapped($0.prefix(1).uppercased() + $0.dropFirst(), width: headerWidth - 11)
            }
            lines += ["    /** " + text[0]] + text.dropFirst().map { "     *  " + $0 }
            lines[lines.count - 1] += " */"
            lines.append("    \(method.constant) = \(method.id)" + (method.id == methods.last?.id ? "" : ","))
        }
        return lines + ["};"]
    }

    func parameterEnum() throws(HeaderError) -> [String] {
        let rows = try parameterRows()
        guard Set(rows.map(\.constant)).count == rows.count else {
            throw HeaderError("two parameters have the same constant")
        }
        let width = rows.map(\.constant.count).max() ?? 0
        var lines = ["enum {"]
        for (index, row) in rows.enumerated() {
            if index > 0, rows[index - 1].parameter.id / 100 != row.parameter.id / 100 { lines.append("") }
            let comma = index == rows.count - 1 ? " " : ","
            let head = "    \(row.constant.padded(to: width)) = \(row.parameter.id)\(comma) /**< "
            let room = headerWidth - head.count - " */".count
            let values = row.owners.map { owner in owner.parameters.filter { $0.id == row.parameter.id }[0] }
            let brackets =
                "[\(perMethod(row.owners, values.map { number($0.initial) })) | "
                + "\(perMethod(row.owners, values.map(\.bounds)))]"
            let names =
                row.owners.count == methods.count ? "every method" : row.owners.map(\.name).joined(separator: ", ")
            var text = wrapped(row.parameter.summary, width: room)
            if text[text.count - 1].count + 1 + brackets.count <= room {
                text[text.count - 1] += " " + brackets
            } else {
                text += wrapped(brackets, width: room)
            }
            if row.parameter.id < 200 { text += wrapped(names, width: room) }
            lines.append(head + text[0])
            lines += text.dropFirst().map { String(repeating: " ", count: head.count) + $0 }
            lines[lines.count - 1] += " */"
        }
        return lines + ["};"]
    }

    /// Every parameter once, by id, with the methods that have it.
    private func parameterRows() throws(HeaderError) -> [(
        constant: String, parameter: HeaderParameter, owners: [HeaderMethod]
    )] {
        var rows: [(constant: String, parameter: HeaderParameter, owners: [HeaderMethod])] = []
        for method in methods {
            for parameter in method.parameters {
                let constant = method.constant(parameter)
                guard let place = rows.firstIndex(where: { $0.parameter.id == parameter.id }) else {
                    rows.append((constant, parameter, [method]))
                    continue
                }
                guard rows[place].constant == constant, rows[place].parameter.summary == parameter.summary else {
                    throw HeaderError(
                        "parameter \(parameter.id) is \(rows[place].constant) and \(constant), or has two summaries")
                }
                rows[place].owners.append(method)
            }
        }
        return rows.sorted { $0.parameter.id < $1.parameter.id }
    }

    /// "7", or "8 for dynamickv, pyramidkv; 16 for windowkv; else 32".
    private func perMethod(_ owners: [HeaderMethod], _ values: [String]) -> String {
        var groups: [(value: String, names: [String])] = []
        for (value, owner) in zip(values, owners) {
            if let place = groups.firstIndex(where: { $0.value == value }) {
                groups[place].names.append(owner.name)
            } else {
                groups.append((value, [owner.name]))
            }
        }
        // What most methods have is said last.
        guard let most = groups.indices.max(by: { groups[$0].names.count < groups[$1].names.count }) else { return "" }
        let usual = groups.remove(at: most).value
        let special = groups.map { "\($0.value) for \($0.names.joined(separator: ", "))" }
        return (special + [(special.isEmpty ? "" : "else ") + usual]).joined(separator: "; ")
    }
}

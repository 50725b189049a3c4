// A function's doc comment: from the Doxygen that the Swift compiler makes of it, back to a plain C comment.
//
// The compiler turns `code` into <code>, lists into <ul>, straight quotes into typographic ones, and drops the blank
// line between paragraphs; lines stay lines. What is not undone here is an error, so that no tag reaches the header.

struct DocComment {
    /// "Plan", and the place in it.
    var section: String
    var order: Int
    var body: [String]
    var parameters: [(name: String, lines: [String])]
    var returns: [String]

    init(compiler lines: [String]) throws(HeaderError) {
        var section: (String, Int)?
        var plain: [String] = []
        for line in try Self.undoMarkup(lines) {
            let words = line.split(separator: " ")
            if words.first == "Section:" {
                guard section == nil, words.count == 2 || words.count == 3,
                    let order = words.count == 3 ? Int(words[2]) : 0
                else { throw HeaderError("'\(line)': expected one line 'Section: Plan 3'") }
                section = (String(words[1]), order)
            } else {
                if line.contains("Section:") { throw HeaderError("'Section:' must begin its line: '\(line)'") }
                plain.append(line)
            }
        }
        guard let section else { throw HeaderError("the doc comment needs a line 'Section: Plan 3'") }
        (self.section, self.order) = section
        (body, parameters, returns) = ([], [], [])
        var inReturns = false
        for line in plain {
            if line == "returns:" {
                inReturns = true
            } else if line.hasPrefix("\\param ") {
                let words = line.dropFirst("\\param ".count).split(separator: " ", maxSplits: 1).map(String.init)
                guard words.count == 2 else { throw HeaderError("'\(line)': a parameter without a description") }
                parameters.append((words[0].hasSuffix("_") ? String(words[0].dropLast()) : words[0], [words[1]]))
                inReturns = false
            } else if line.isEmpty {
                continue
            } else if inReturns {
                returns.append(line)
            } else if parameters.isEmpty {
                body.append(line)
            } else {
                parameters[parameters.count - 1].lines.append(line)
            }
        }
        if body.isEmpty { throw HeaderError("the doc comment has no sentence") }
        for line in body + returns + parameters.flatMap(\.lines) {
            guard !line.contains("*/"), !line.contains("/*") else {
                throw HeaderError("'\(line)' would end the C comment")
            }
            if line.trimmed().hasPrefix("\\") { throw HeaderError("'\(line)' is not understood") }
        }
    }

    /// `/** ... */`, at most headerWidth columns.
    func rendered() -> [String] {
        let width = headerWidth - " *  ".count - " */".count
        var lines: [String] = []
        for line in Self.filled(body) {
            let indent = line.prefix { $0 == " " }
            lines += wrapped(line.trimmed(), width: width - indent.count).map { indent + $0 }
        }
        let nameWidth = parameters.map(\.name.count).max() ?? 0
        for (name, text) in parameters {
            lines += Self.tagged("@param \(name.padded(to: nameWidth)) ", text, width: width)
        }
        if !returns.isEmpty { lines += Self.tagged("@return", returns, width: width) }
        lines[0] = "/** " + lines[0]
        for index in lines.indices.dropFirst() { lines[index] = " *  " + lines[index] }
        lines[lines.count - 1] += " */"
        return lines
    }

    /// Joins the lines of a paragraph, which the source broke at its own width: a line of 90 columns or more goes on in
    /// the next, unless that one is code or a list's item. (Where a paragraph ended, the compiler does not say.)
    private static func filled(_ lines: [String]) -> [String] {
        var result: [String] = []
        var goesOn = false
        for line in lines {
            let isProse = !line.hasPrefix(" ") && !line.hasPrefix("- ") && line.prefixMatch(of: #/[0-9]+\. /#) == nil
            if goesOn && isProse { result[result.count - 1] += " " + line } else { result.append(line) }
            goesOn = isProse && line.count >= 90
        }
        return result
    }

    private static func tagged(_ tag: String, _ text: [String], width: Int) -> [String] {
        let indent = tag.count + 1
        let lines = wrapped(text.map { $0.trimmed() }.joined(separator: " "), width: width - indent)
        return lines.enumerated().map { ($0 == 0 ? tag + " " : String(repeating: " ", count: indent)) + $1 }
    }

    /// Plain lines again: code blocks indented by four, list items with "- " or "1. ", straight quotes.
    private static func undoMarkup(_ lines: [String]) throws(HeaderError) -> [String] {
        var result: [String] = []
        var item = 0  // number of the next item of an <ol>; 0 in a <ul>
        var inList = false, newItem = false, inCode = false
        let pieces = lines.map { $0.replacing("\\endcode", with: "\\endcode\n") }.joined(separator: "\n").lines()
        for piece in pieces {
            let line = try straight(piece)
            let word = line.trimmed()
            switch word {
            case "\\code": inCode = true
            case "\\endcode": inCode = false
            case _ where inCode: result.append(word.isEmpty ? "" : "    " + line)
            case "<ul>", "<ol>":
                if inList { throw HeaderError("a list in a list is not understood") }
                (inList, item) = (true, word == "<ol>" ? 1 : 0)
            case "</ul>", "</ol>": inList = false
            case "<li>": newItem = true
            case "</li>": if item > 0 { item += 1 }
            case _ where inList && !word.isEmpty:
                let mark = item > 0 ? "\(item). " : "- "
                result.append((newItem ? mark : String(repeating: " ", count: mark.count)) + (try untagged(word)))
                newItem = false
            default: result.append(try untagged(line))
            }
        }
        return result
    }

    private static func untagged(_ line: String) throws(HeaderError) -> String {
        var text = line
        for (tag, mark) in [("code", "`"), ("em", "*"), ("strong", "**")] {
            text = text.replacing("<\(tag)>", with: mark).replacing("</\(tag)>", with: mark)
        }
        if text.contains(#/</?[a-zA-Z][a-zA-Z0-9]*>/#) {
            throw HeaderError("'\(line)' has a tag that is not understood")
        }
        return text
    }

    private static func straight(_ line: String) throws(HeaderError) -> String {
        var text = ""
        for character in line {
            switch character {
            case "\u{2018}", "\u{2019}": text += "'"
            case "\u{201C}", "\u{201D}": text += "\""
            case "\u{2026}": text += "..."
            case "\u{2013}": text += "--"
            case "\u{2014}": text += "---"
            case _ where character.isASCII: text.append(character)
            default: throw HeaderError("'\(character)' in '\(line)': the header is plain ASCII")
            }
        }
        return text
    }
}

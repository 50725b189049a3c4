// Why a header could not be written: one sentence, with the line that was not understood.

public struct HeaderError: Error, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}

/// Columns of the generated header.
let headerWidth = 110

extension StringProtocol {
    /// Without the blanks at both ends.
    func trimmed() -> String {
        guard let first = firstIndex(where: { !$0.isWhitespace }), let last = lastIndex(where: { !$0.isWhitespace })
        else { return "" }
        return String(self[first...last])
    }

    func lines() -> [String] {
        let parts: [SubSequence] = split(omittingEmptySubsequences: false) { $0 == "\n" }
        return parts.map { String($0) }
    }

    /// Filled up with blanks on the right; never cut.
    func padded(to width: Int) -> String { self + String(repeating: " ", count: Swift.max(0, width - count)) }
}

/// Breaks `text` at blanks into lines of at most `width` columns; a longer word keeps a line of its own.
func wrapped(_ text: String, width: Int) -> [String] {
    if text.count <= width { return [text] }
    var result: [String] = []
    var line = ""
    for word in text.split(separator: " ") {
        if !line.isEmpty && line.count + 1 + word.count > width {
            result.append(line)
            line = ""
        }
        line += line.isEmpty ? String(word) : " " + word
    }
    return result + [line]
}

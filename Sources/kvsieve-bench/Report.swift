// Markdown tables whose columns also line up as plain text.

struct Table {
    private var rows: [[String]]

    init(_ headings: String...) { rows = [headings] }

    mutating func add(_ cells: String...) { rows.append(cells) }
    mutating func add(_ cells: [String]) { rows.append(cells) }

    func show() {
        let columns = rows[0].indices
        let widths = columns.map { column in rows.map { $0[column].count }.max() ?? 0 }
        for (number, row) in rows.enumerated() {
            print("| " + columns.map { pad(row[$0], widths[$0], left: $0 == 0) }.joined(separator: " | ") + " |")
            if number == 0 {
                print("|" + columns.map { dashes(widths[$0], left: $0 == 0) }.joined(separator: "|") + "|")
            }
        }
        print("")
        flush()
    }

    private func pad(_ text: String, _ width: Int, left: Bool) -> String {
        let gap = String(repeating: " ", count: width - text.count)
        return left ? text + gap : gap + text
    }

    private func dashes(_ width: Int, left: Bool) -> String {
        let line = String(repeating: "-", count: width + 1)
        return left ? line + "-" : line + ":"
    }
}

func title(_ number: Int, _ text: String) {
    print("### \(number). \(text)\n")
    flush()
}

func note(_ text: String) { print(text + "\n") }

/// With so many digits after the point.
func fixed(_ value: Double, _ digits: Int) -> String {
    guard value.isFinite, abs(value) < 1e15 else { return "\(value)" }
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let scaled = Int64((abs(value) * scale).rounded())
    let unit = Int64(scale)
    let fraction = String(scaled % unit)
    let sign = value < 0 && scaled > 0 ? "-" : ""
    guard digits > 0 else { return sign + grouped(Int(scaled)) }
    return "\(sign)\(grouped(Int(scaled / unit)))." + String(repeating: "0", count: digits - fraction.count) + fraction
}

/// 131,072
func grouped(_ value: Int) -> String {
    let digits = String(value)
    var text = ""
    for (index, digit) in digits.enumerated() {
        if index > 0 && (digits.count - index) % 3 == 0 { text += "," }
        text.append(digit)
    }
    return text
}

/// Seconds as milliseconds, three digits or more.
func milliseconds(_ seconds: Double) -> String {
    let value = seconds * 1e3
    return fixed(value, abs(value) < 1 ? 3 : abs(value) < 10 ? 2 : abs(value) < 100 ? 1 : 0)
}

func billions(_ amount: Int, _ seconds: Double) -> String {
    let rate = Double(amount) / seconds * 1e-9
    return fixed(rate, rate < 1 ? 2 : 1)
}

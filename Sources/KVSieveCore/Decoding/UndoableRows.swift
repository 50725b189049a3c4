// Rows of numbers for each choice of a layer. For each token a call replaces one of them: the row and a spare row, which has the
// new numbers, change places. If the token is taken back, they change places again. The next call writes over the spare rows.

final class UndoableRows<Element: BitwiseCopyable & Numeric>: @unchecked Sendable {
    typealias Row = UnsafeMutablePointer<Element>
    private let account: MemoryAccount
    private let choices: Int
    private let rows: Int
    private let width: Int
    private let memory: Buffer<Element>
    /// (choices, rows) and (tokens, choices): where they are now.
    private let places: Buffer<Row>
    private let sparePlaces: Buffer<Row>
    private var spares: [Buffer<Element>] = []
    private var current: UnsafeMutablePointer<Row>
    private var spare: UnsafeMutablePointer<Row>

    init(choices: Int, rows: Int, width: Int, _ account: MemoryAccount) throws(KVSieveError) {
        self.account = account
        self.choices = choices
        self.rows = rows
        self.width = width
        memory = Buffer(account)
        places = Buffer(account)
        sparePlaces = Buffer(account)
        try memory.reserve(choices * rows * width)
        current = try places.reserve(choices * rows)
        spare = try sparePlaces.reserve(choices)
        try clear()
    }

    /// All rows are 0.
    func clear() throws(KVSieveError) {
        let start = try memory.reserve(choices * rows * width)
        start.update(repeating: 0, count: choices * rows * width)
        for row in 0..<(choices * rows) { current[row] = start + row * width }
        for (token, memory) in spares.enumerated() { try place(memory, token) }
    }

    /// Spare rows for calls of up to `tokens` tokens; those that the last call replaced are not lost.
    func prepare(_ tokens: Int) throws(KVSieveError) {
        while spares.count < tokens {
            let more = Buffer<Element>(account)
            try more.reserve(choices * width)
            spare = try sparePlaces.grow((spares.count + 1) * choices)
            try place(more, spares.count)
            spares.append(more)
        }
    }

    private func place(_ memory: Buffer<Element>, _ token: Int) throws(KVSieveError) {
        let start = try memory.reserve(choices * width)
        for choice in 0..<choices { spare[token * choices + choice] = start + choice * width }
    }

    /// The rows of a choice, in order.
    func of(_ choice: Int) -> UnsafeMutablePointer<Row> { current + choice * rows }

    /// Where token `token` of a call writes its row, and where the replaced one is afterwards.
    func spare(_ choice: Int, _ token: Int) -> UnsafeMutablePointer<Row> { spare + (token * choices + choice) }

    /// Row `row` of a choice trades places with the spare one of the step's token: once to replace it, once more to take that
    /// back.
    func exchange(_ choice: Int, row: Int, token: Int) {
        swap(&current[choice * rows + row], &spare[token * choices + choice])
    }
}

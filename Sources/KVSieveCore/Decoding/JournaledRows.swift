// Rows of numbers for each head of a layer, of which a call replaces one a token. The row that is replaced is not copied to a
// journal: it trades places with a spare one, which the new numbers are written to, and trades back when the token is taken
// back. The next call writes over it.

final class JournaledRows<Element: BitwiseCopyable & Numeric>: @unchecked Sendable {
    typealias Row = UnsafeMutablePointer<Element>
    private let account: MemoryAccount
    private let heads: Int
    private let rows: Int
    private let width: Int
    private let memory: Buffer<Element>
    /// (heads, rows) and (tokens, heads): where they are now.
    private let places: Buffer<Row>
    private let sparePlaces: Buffer<Row>
    private var spares: [Buffer<Element>] = []
    private var current: UnsafeMutablePointer<Row>
    private var spare: UnsafeMutablePointer<Row>

    init(heads: Int, rows: Int, width: Int, _ account: MemoryAccount) throws(KVSieveError) {
        self.account = account
        self.heads = heads
        self.rows = rows
        self.width = width
        memory = Buffer(account)
        places = Buffer(account)
        sparePlaces = Buffer(account)
        try memory.reserve(heads * rows * width)
        current = try places.reserve(heads * rows)
        spare = try sparePlaces.reserve(heads)
        try clear()
    }

    /// All rows are 0.
    func clear() throws(KVSieveError) {
        let start = try memory.reserve(heads * rows * width)
        start.update(repeating: 0, count: heads * rows * width)
        for row in 0..<(heads * rows) { current[row] = start + row * width }
        for (token, memory) in spares.enumerated() { try place(memory, token) }
    }

    /// Spare rows for calls of up to `tokens` tokens. What the last call replaced stays.
    func prepare(_ tokens: Int) throws(KVSieveError) {
        while spares.count < tokens {
            let more = Buffer<Element>(account)
            try more.reserve(heads * width)
            spare = try sparePlaces.grow((spares.count + 1) * heads)
            try place(more, spares.count)
            spares.append(more)
        }
    }

    private func place(_ memory: Buffer<Element>, _ token: Int) throws(KVSieveError) {
        let start = try memory.reserve(heads * width)
        for head in 0..<heads { spare[token * heads + head] = start + head * width }
    }

    /// The rows of a head, in order.
    func of(_ head: Int) -> UnsafeMutablePointer<Row> { current + head * rows }

    /// Where the token `token` of a call writes its row, and where the one that it replaced is afterwards.
    func spare(_ head: Int, _ token: Int) -> UnsafeMutablePointer<Row> { spare + (token * heads + head) }
}

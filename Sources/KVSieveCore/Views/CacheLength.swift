// How long the caches are when a layer is observed. A prompt's have T rows everywhere. When a sequence goes on they have what
// its last selection left and the new tokens behind that: by layer and head, n rows for more tokens than that seen.

public struct CacheLength: Sendable, Equatable {
    /// Tokens seen so far, the new ones and the dropped ones included.
    public let seen: Int
    /// New tokens since the last selection; all of a prompt.
    public let new: Int
    /// Rows of the longest head of the layer.
    public let longest: Int
    /// Rows of all heads of all layers.
    public let ofModel: Int
    /// Rows of each head, `later` of which are not counted yet; empty if all heads have `longest`.
    private let heads: [Int]
    private let later: Int
    /// What every head keeps of it whatever the scores.
    let protected: ProtectedRows
    private let alignment: Alignment

    /// A prompt of `tokens` tokens, for `caches` heads of all layers.
    public init(prompt tokens: Int, caches: Int = 1) {
        self.init(seen: tokens, new: tokens, longest: tokens, ofModel: tokens * caches)
    }

    /// - Parameter heads: rows of each of the layer's heads.
    init(seen: Int, new: Int, heads: [Int], ofModel: Int, _ alignment: Alignment = .begin) {
        self.init(
            seen: seen, new: new, longest: heads.max() ?? 0, ofModel: ofModel,
            heads: heads.allSatisfy { $0 == heads.first } ? [] : heads, alignment: alignment)
    }

    private init(
        seen: Int, new: Int, longest: Int, ofModel: Int, heads: [Int] = [], later: Int = 0,
        alignment: Alignment = .begin, protected: ProtectedRows = ProtectedRows()
    ) {
        self.seen = seen
        self.new = new
        self.longest = longest
        self.ofModel = ofModel
        self.heads = heads
        self.later = later
        self.protected = protected
        self.alignment = alignment
    }

    /// Nothing was dropped yet.
    public var isPrompt: Bool { new == seen }

    /// Have all heads `longest` rows?
    var isEven: Bool { heads.isEmpty }

    public func rows(_ head: Int) -> Int { heads.indices.contains(head) ? heads[head] - later : longest }

    /// The row of the layer's tensors that is a head's first.
    func first(_ head: Int) -> Int { alignment.first(rows(head), of: longest) }

    /// The fewest last rows, `recent` or more, before which `multiple` tokens are seen, or so many times that.
    public func recent(_ recent: Int, multiple: Int) -> Int {
        seen > recent ? recent + (seen - recent) % multiple : recent
    }

    /// As if the layer had this head alone.
    func of(_ head: Int) -> CacheLength {
        if heads.isEmpty && !protected.isByHead { return self }
        return CacheLength(
            seen: seen, new: new, longest: rows(head), ofModel: ofModel, protected: protected.of(head))
    }

    /// The most rows, in any round, of the units of so many tokens that have a protected one.
    public func protectedRows(unit: Int, aligned: Bool) -> Int {
        protected.mostRows(from: 0, unit: unit, aligned: aligned)
    }

    /// The same with these protected tokens.
    func with(_ protected: ProtectedRows) -> CacheLength {
        CacheLength(
            seen: seen, new: new, longest: longest, ofModel: ofModel, heads: heads, later: later, alignment: alignment,
            protected: protected)
    }

    /// As it was `tokens` new tokens earlier.
    func before(_ tokens: Int) -> CacheLength {
        CacheLength(
            seen: seen - tokens, new: new - tokens, longest: longest - tokens, ofModel: ofModel, heads: heads,
            later: later + tokens, alignment: alignment, protected: protected)
    }
}

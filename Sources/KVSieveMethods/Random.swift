// Random - the yardstick that every method must beat.
//
//     score    a random number that depends on (seed, layer, head, position) alone
//     keep     the last `recent` and the best C - recent of the others, per head; no tensor is read
//
// A token's number is its own for ever, so what is kept of a sequence that goes on is a uniform sample of all that came.
// Decision R1: README.md.
import KVSieveCore

struct Random: Method {
    static let seed = Parameter(1300, "seed", 0, 0...mostTokens, .whole, "of the random numbers")
    static let recent = Parameter(1301, "recent", 32, 0...4096, .whole, "last tokens kept by force")
    static let row = MethodRow(
        id: 12, name: "random", summary: "a random choice", choose: "you need to know what another method is worth",
        paper: "A baseline", parameters: [Shared.budget, Shared.ratio, Shared.threads, seed, recent] + Shared.shape)

    private let budget: Budget
    private let seed: Int
    private let recent: Int

    init(_ settings: Settings, _ shape: ModelShape) {
        budget = settings.budget
        (seed, recent) = (settings.int(Self.seed), settings.int(Self.recent))
    }

    var reads: Reads { .nothing }

    func frame(_ length: CacheLength, layer: Int) throws(KVSieveError) -> Frame {
        try budget.frame(length, recent: recent) { "the last \(recent) tokens" }
    }

    func score(_ layer: Layer) throws(KVSieveError) -> HeadTable? {
        try layer.noise(seed: seed).candidates(layer.frame)
    }
}

// Memory of layers' scores: what no layer needs any more is the next one's.

final class ScorePool {
    private let account: MemoryAccount
    private var free: [LayerScores] = []

    init(_ shape: ModelShape, _ account: MemoryAccount) {
        self.account = account
        free.reserveCapacity(shape.layers)
    }

    /// Scores that no layer has; still free until they are taken.
    func next() -> LayerScores {
        if let last = free.last { return last }
        let made = LayerScores(account)
        free.append(made)
        return made
    }

    func take(_ scores: LayerScores?) { free.removeAll { $0 === scores } }

    /// A layer lets go of its scores. A follower shares its leader's: they are freed when the last lets go.
    func give(_ scores: LayerScores, unlessIn others: [LayerScores?]) {
        if !others.contains(where: { $0 === scores }) && !free.contains(where: { $0 === scores }) {
            free.append(scores)
        }
    }

    /// Room for `count` layers' scores at once.
    func prepare(_ count: Int, like scores: LayerScores) throws(KVSieveError) {
        while free.count < count {
            let more = LayerScores(account)
            try more.prepare(like: scores, buckets: LayerQuota.buckets)
            free.append(more)
        }
    }
}

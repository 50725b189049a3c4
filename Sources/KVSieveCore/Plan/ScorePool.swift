// Memory of layers' scores. If no layer needs its memory any more, a later layer takes it.

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

    /// A layer releases its scores. A follower shares its leader's: they are free after the last release.
    func give(_ scores: LayerScores, unlessIn others: [LayerScores?]) {
        if !others.contains(where: { $0 === scores }) && !free.contains(where: { $0 === scores }) {
            // Its frame would hold the memory of the sequence's protected tokens.
            scores.forget()
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

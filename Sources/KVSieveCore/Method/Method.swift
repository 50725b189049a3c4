// A paper's part, and nothing else: what is read, the scope of a choice, what is always kept, the score of each unit, how many
// units each head may keep, and which slot is freed while the sequence is decoded.

/// One published method with its parameters. A value without state: the plan owns what a sequence accumulates.
public protocol Method: Sendable {
    static var row: MethodRow { get }

    /// Throws .parameter for settings that contradict each other.
    init(_ settings: Settings, _ shape: ModelShape) throws(KVSieveError)

    var reads: Reads { get }

    /// What one choice covers. `.layer` by default.
    var scope: Scope { get }

    /// What is always kept, and the units in which the others compete; Frame.whole for a cache that is kept whole.
    /// Throws .budget if the budget cannot hold what the method must keep.
    func frame(_ length: CacheLength, layer: Int) throws(KVSieveError) -> Frame

    /// A number for each unit of the layer's frame, or for each candidate, higher is kept: H rows, or one that all heads share. The plan
    /// makes units of candidates, and one row of H if they share a choice. Nil, the default: nothing
    /// competes, or all are equal. Called for layers whose frame has units and that make their own choice.
    func score(_ layer: Layer) throws(KVSieveError) -> HeadTable?

    /// Shrinks what heads may keep, of layers up to the newest. Called after every layer whose frame has units. By default:
    /// what the frame's budget has room for.
    func budgets(_ ranked: RankedLayers, into budgets: BudgetTable) throws(KVSieveError)

    /// The most candidate rows that a head of a layer may keep of a prompt, if its frame has units. By default what the frame's
    /// budget has room for.
    func mostRows(_ frame: Frame, layer: Int) -> Int

    /// How slots are freed while the sequence is decoded; nil, the default, for a method that only appends. The scope of a method
    /// that decodes is a layer.
    func decoding(_ length: CacheLength) throws(KVSieveError) -> DecodeRule?
}

/// What one choice covers. It decides whose scores are remembered.
public enum Scope: Sendable, Equatable {
    /// Each layer by itself.
    case layer
    /// The first of every so many layers chooses; the others use its scores and read nothing.
    case group(Int)
    /// Budgets of all layers may change until the last was observed.
    case model

    /// The layer whose scores rank `layer`: itself, or an earlier one.
    func leader(of layer: Int) -> Int {
        if case .group(let size) = self { return layer - layer % size }
        return layer
    }

    /// The lowest layer whose scores may still be read when `layer` is done.
    func firstRemembered(after layer: Int) -> Int {
        switch self {
        case .layer: return layer + 1
        case .group: return leader(of: layer + 1)
        case .model: return 0
        }
    }
}

extension Method {
    public var scope: Scope { .layer }
    public func score(_ layer: Layer) throws(KVSieveError) -> HeadTable? { nil }
    public func budgets(_ ranked: RankedLayers, into budgets: BudgetTable) throws(KVSieveError) {
        budgets.shrink(ranked.newest, to: ranked.frame.unitsInBudget)
    }
    public func mostRows(_ frame: Frame, layer: Int) -> Int { frame.unitsInBudget * frame.unit }
    public func decoding(_ length: CacheLength) throws(KVSieveError) -> DecodeRule? { nil }

    /// What a layer reads; nil for one that is ranked by an earlier one's scores.
    func reads(layer: Int) -> Reads? { scope.leader(of: layer) == layer ? reads : nil }
}

/// A method as the registry lists it.
public struct MethodRow: Sendable {
    public let id: Int32
    /// "dynamickv"
    public let name: StaticString
    public let summary: StaticString
    /// "Choose it when ...", in one line.
    public let choose: StaticString
    public let paper: StaticString
    public let parameters: [Parameter]

    public init(
        id: Int32, name: StaticString, summary: StaticString, choose: StaticString, paper: StaticString,
        parameters: [Parameter]
    ) {
        self.id = id
        self.name = name
        self.summary = summary
        self.choose = choose
        self.paper = paper
        self.parameters = parameters
    }
}

// What a paper has to say, and nothing else: how good is each unit, and how many may each head keep.

/// One published method with its parameters. A value without state: the plan owns what a sequence accumulates.
public protocol Method: Sendable {
    /// W: the last queries, which observe() reads.
    var window: Int { get }

    /// What score() reads; empty for a layer that takes over its leader's scores.
    func needs(layer: Int) -> Needs

    /// The layer whose scores this one goes by: itself, or an earlier one.
    func leader(of layer: Int) -> Int

    /// What is kept for certain and the units in which the rest competes; Frame.whole for a cache that is kept whole.
    /// Throws .budget when the budget cannot hold what the method must keep.
    func frame(_ length: CacheLength, layer: Int) throws(KVSieveError) -> Frame

    /// Fills scores: (rows, frame.units), higher is kept; rows is H, or 1 when all heads share. Called for leaders whose
    /// frame has units.
    func score(
        _ layer: LayerView, _ frame: Frame, _ work: Workspace, into scores: LayerScores
    ) throws(KVSieveError)

    /// Called after every layer whose frame has units. Shrinks what heads may keep, of layers up to this one.
    func budgets(
        after layer: Int, _ frame: Frame, _ scores: ScoreTable, _ work: Workspace, into budgets: BudgetTable
    ) throws(KVSieveError)

    /// How tokens leave while the sequence is decoded; nil for a method that only appends. A layer's selection must then be
    /// final when it was observed.
    var decodeRule: DecodeRule? { get }

    /// The lowest layer whose scores may still be looked at once `layer` is done.
    func firstRemembered(after layer: Int) -> Int
}

extension Method {
    public var decodeRule: DecodeRule? { nil }
    public func leader(of layer: Int) -> Int { layer }
    public func firstRemembered(after layer: Int) -> Int { layer + 1 }
}

/// A method as the registry lists it.
public struct MethodRow: Sendable {
    public let id: Int32
    /// "dynamickv"
    public let name: StaticString
    /// "KVSIEVE_DYNAMICKV"
    public let constant: StaticString
    public let summary: StaticString
    public let paper: StaticString
    /// Does it evict while decoding?
    public let decodes: Bool
    public let parameters: [Parameter]
    public let make: @Sendable (Settings, ModelShape) throws(KVSieveError) -> any Method

    public init(
        id: Int32, name: StaticString, constant: StaticString, summary: StaticString, paper: StaticString,
        decodes: Bool = false, parameters: [Parameter],
        make: @escaping @Sendable (Settings, ModelShape) throws(KVSieveError) -> any Method
    ) {
        self.id = id
        self.name = name
        self.constant = constant
        self.summary = summary
        self.paper = paper
        self.decodes = decodes
        self.parameters = parameters
        self.make = make
    }
}

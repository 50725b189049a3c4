// The registry as arguments of tests, and parameters for any method in it: a new one is tested without a line here.
import KVSieveMethods
import Testing

@testable import KVSieveCore

struct AnyMethod: Sendable, CustomTestStringConvertible {
    let type: any Method.Type

    static let all = Registry.methods.map { AnyMethod(type: $0) }
    /// Those that evict while decoding.
    static let decoders = all.filter(\.row.decodes)

    static func named(_ name: String) throws -> AnyMethod {
        try #require(all.first { $0.name == name }, "no method \(name)")
    }

    var row: MethodRow { type.row }
    var name: String { "\(row.name)" }
    var testDescription: String { name }

    func parameter(_ name: String) -> Parameter? { row.parameters.first { "\($0.name)" == name } }

    /// Is the budget a share of the tokens if nothing is set?
    var goesByRatio: Bool { (parameter("ratio")?.initial ?? 0) > 0 }

    /// Those of the parameters that the method has.
    func having(_ parameters: [String: Double]) -> [String: Double] { parameters.filter { parameter($0.key) != nil } }

    /// Those of the parameters that the method has, and that are in its bounds.
    func fitting(_ parameters: [String: Double]) -> [String: Double] {
        parameters.filter { name, value in
            parameter(name).map { value >= $0.lowest && value <= $0.highest } ?? false
        }
    }

    /// Parameters that make the method choose among `tokens` tokens with a small window, by the names that parameters have.
    func tight(tokens: Int, ratio: Double = 0.4, _ wishes: [String: Double] = [:]) -> [String: Double] {
        var all: [String: Double] = [
            "window": 8, "shared": 2, "pyramid": 4, "size": 5, "recent": 16, "sinks": 4, "every": 2, "semantic": 24,
        ]
        all[goesByRatio ? "ratio" : "budget"] = goesByRatio ? ratio : Double(tokens / 5)
        return fitting(all.merging(wishes) { $1 })
    }

    /// Throws when the method lacks one of the parameters.
    func settings(_ parameters: [String: Double]) throws -> Settings {
        var settings = Settings(row.parameters)
        for (name, value) in parameters {
            let parameter = try #require(self.parameter(name), "\(self.name) has no \(name), which the test names")
            try settings.set(parameter.id, value, of: row.name)
        }
        return settings
    }

    func method(_ shape: ModelShape, _ parameters: [String: Double]) throws -> any Method {
        try type.init(settings(parameters), shape)
    }

    /// The frame of a prompt's first layer: what is protected, as the method says it.
    func frame(_ shape: ModelShape, _ parameters: [String: Double], tokens: Int) throws -> Frame {
        let length = CacheLength(prompt: tokens, caches: shape.layers * shape.heads)
        return try method(shape, parameters).frame(length, layer: 0)
    }

    /// What the method reads; nil if it cannot be made at all, which other tests say.
    private var reads: Reads? {
        guard let shape = try? ModelShape(layers: 1, queryHeads: 1, heads: 1, headDim: 8) else { return nil }
        return try? method(shape, [:]).reads
    }

    /// Does any layer look at a number of a tensor?
    var readsTensors: Bool { reads != .nothing }
    var readsQueries: Bool { reads?.needs.contains(.queries) == true }
    var readsAllQueries: Bool { reads?.needs.contains(.allQueries) == true }

    /// Throws when the method lacks one of the parameters.
    func plan(
        _ shape: ModelShape, _ parameters: [String: Double] = [:], account: MemoryAccount = MemoryAccount()
    ) throws -> Plan {
        let plan = try Plan(type, shape, Shared.plan, account: account)
        for (name, value) in parameters {
            let parameter = try #require(self.parameter(name), "\(self.name) has no \(name), which the test names")
            try plan.set(parameter.id, value)
        }
        return plan
    }
}

/// The kind of the error that `body` throws; nil when it throws none.
func errorKind(_ body: () throws -> Void) -> KVSieveError.Kind? { thrown(body)?.kind }

func thrown(_ body: () throws -> Void) -> KVSieveError? {
    do {
        try body()
        return nil
    } catch { return error as? KVSieveError }
}

func positions(_ plan: Plan) throws -> [[[Int]]] {
    try (0..<plan.shape.layers).map { try positions(plan, layer: $0) }
}

func positions(_ plan: Plan, layer: Int) throws -> [[Int]] {
    let selection = try plan.kept(layer: layer)
    return (0..<selection.heads).map { selection.copy($0) }
}

import KVSieveMethods
import Testing

// The list of methods: ids, names, bounds, defaults; every parameter can be set, read back, and refuses what is outside.
@testable import KVSieveCore

@Suite struct RegistryTests {
    @Test func idsAndNamesAreTheirOwn() {
        #expect(Set(Registry.rows.map(\.id)).count == Registry.rows.count)
        #expect(Set(Registry.rows.map { "\($0.name)" }).count == Registry.rows.count)
        for row in Registry.rows {
            #expect("\(row.constant)" == "KVSIEVE_" + "\(row.name)".uppercased())
            #expect(Set(row.parameters.map(\.id)).count == row.parameters.count)
            #expect(Set(row.parameters.map { "\($0.name)" }).count == row.parameters.count)
        }
    }

    /// Pinned: these numbers are in callers' binaries.
    @Test func idsArePinned() {
        let methods = Dictionary(uniqueKeysWithValues: Registry.rows.map { ("\($0.name)", $0.id) })
        for (name, id) in ["ahakv": 1, "taskkv": 2, "windowkv": 3, "dynamickv": 4, "h2o": 5] as [String: Int32] {
            #expect(methods[name] == id)
        }
        var parameters: [String: Int32] = [:]
        for row in Registry.rows {
            for parameter in row.parameters { parameters["\(parameter.constant)"] = parameter.id }
        }
        let pinned: [String: Int32] = [
            "KVSIEVE_BUDGET": 100, "KVSIEVE_RATIO": 101, "KVSIEVE_WINDOW": 102, "KVSIEVE_POOL_KERNEL": 103,
            "KVSIEVE_POOL": 104, "KVSIEVE_THREADS": 105, "KVSIEVE_AHAKV_GAIN_FLOOR": 200, "KVSIEVE_AHAKV_SINKS": 201,
            "KVSIEVE_TASKKV_BETA": 300, "KVSIEVE_TASKKV_TOP": 301, "KVSIEVE_TASKKV_SINKS": 302,
            "KVSIEVE_TASKKV_RECENT": 303, "KVSIEVE_TASKKV_TOKENS": 304, "KVSIEVE_WINDOWKV_TASK": 400,
            "KVSIEVE_WINDOWKV_SIZE": 401, "KVSIEVE_WINDOWKV_SHARED": 402, "KVSIEVE_WINDOWKV_PYRAMID": 403,
            "KVSIEVE_WINDOWKV_CHARGE": 404, "KVSIEVE_DYNAMICKV_CAP": 500, "KVSIEVE_DYNAMICKV_EVERY": 501,
        ]
        for (constant, id) in pinned { #expect(parameters[constant] == id, "\(constant)") }
    }

    @Test(arguments: Registry.rows.indices) func everyParameterHoldsItsBounds(_ index: Int) throws {
        let row = Registry.rows[index]
        let shape = try ModelShape(layers: 2, queryHeads: 2, heads: 2, headDim: 8)
        for parameter in row.parameters {
            let plan = try makePlan(row, shape)
            #expect(try plan.get(parameter.id) == parameter.initial)
            #expect(parameter.lowest <= parameter.initial && parameter.initial <= parameter.highest)
            for value in [parameter.lowest, parameter.highest, parameter.initial] {
                try plan.set(parameter.id, value)
                #expect(try plan.get(parameter.id) == value)
            }
            var refused = [parameter.lowest - 1, parameter.highest + 1, .nan, .infinity, -.infinity]
            if parameter.kind != .real { refused.append(parameter.lowest + 0.5) }
            if parameter.kind == .odd { refused.append(parameter.lowest + 1) }
            for value in refused {
                let error = #expect(throws: KVSieveError.self) { try plan.set(parameter.id, value) }
                #expect(error?.kind == .parameter && error?.message.contains("\(parameter.name)") == true)
                #expect(try plan.get(parameter.id) == parameter.initial)
            }
        }
    }

    @Test(arguments: Registry.rows.indices) func anotherMethodsParameterIsRefused(_ index: Int) throws {
        let row = Registry.rows[index]
        let plan = try makePlan(row, ModelShape(layers: 1, queryHeads: 1, heads: 1, headDim: 8))
        let foreign = Registry.rows.flatMap(\.parameters).filter { other in
            !row.parameters.contains { $0.id == other.id }
        }
        for id in foreign.map(\.id) + [0, -1, .max, .min] {
            #expect(#expect(throws: KVSieveError.self) { try plan.set(id, 1) }?.kind == .parameter)
            #expect(#expect(throws: KVSieveError.self) { _ = try plan.get(id) }?.kind == .parameter)
        }
    }
}

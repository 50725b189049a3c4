import KVSieveMethods
import Testing

// The list of methods: ids, names, bounds, defaults; every parameter can be set, read back, and refuses what is outside.
@testable import KVSieveCore

@Suite struct RegistryTests {
    @Test func idsAndNamesAreTheirOwn() {
        #expect(Set(Registry.rows.map(\.id)).count == Registry.rows.count)
        #expect(Set(Registry.rows.map { "\($0.name)" }).count == Registry.rows.count)
        for row in Registry.rows {
            #expect(Set(row.parameters.map(\.id)).count == row.parameters.count)
            #expect(Set(row.parameters.map { "\($0.name)" }).count == row.parameters.count)
            for text in [row.summary, row.choose, row.paper] + row.parameters.map(\.summary) {
                #expect(!"\(text)".isEmpty && !"\(text)".contains("\n"))
            }
        }
    }

    /// An id means one thing: a name of its own, and with ids below 200 the same in every method that has it.
    @Test func anIdIsTheSameParameterEverywhere() {
        var names: [Int32: String] = [:]
        for row in Registry.rows {
            for parameter in row.parameters {
                let name = parameter.id < 200 ? "\(parameter.name)" : "\(row.name) \(parameter.name)"
                #expect(names[parameter.id] == nil || names[parameter.id] == name)
                names[parameter.id] = name
            }
        }
        #expect(Set(names.values).count == names.count)
    }

    /// Pinned: these numbers are in callers' binaries.
    @Test func idsArePinned() {
        let methods = Dictionary(uniqueKeysWithValues: Registry.rows.map { ("\($0.name)", $0.id) })
        #expect(
            methods == [
                "ahakv": 1, "taskkv": 2, "windowkv": 3, "dynamickv": 4, "h2o": 5, "snapkv": 6, "pyramidkv": 7,
                "adakv": 8,
                "streamingllm": 9, "tova": 10, "keydiff": 11, "random": 12,
            ])
        var parameters: [String: Int32] = [:]
        for row in Registry.rows {
            for parameter in row.parameters {
                let owner = parameter.id < 200 ? "" : "\(row.name) "
                parameters["\(owner)\(parameter.name)"] = parameter.id
            }
        }
        #expect(
            parameters == [
                "budget": 100, "ratio": 101, "window": 102, "pool_kernel": 103, "pool": 104, "threads": 105,
                "decoding": 106, "ahakv gain_floor": 200, "ahakv sinks": 201, "ahakv score_kernel": 202,
                "taskkv beta": 300, "taskkv top": 301, "taskkv sinks": 302, "taskkv recent": 303, "taskkv tokens": 304,
                "windowkv task": 400, "windowkv size": 401, "windowkv shared": 402, "windowkv pyramid": 403,
                "windowkv charge": 404, "dynamickv cap": 500, "dynamickv every": 501, "dynamickv normal": 502,
                "h2o recent_ratio": 600, "pyramidkv beta": 800, "adakv floor": 900, "streamingllm sinks": 1000,
                "keydiff recent": 1200, "random seed": 1300, "random recent": 1301,
            ])
    }

    @Test(arguments: AnyMethod.all) func everyParameterHoldsItsBounds(_ method: AnyMethod) throws {
        let shape = try ModelShape(layers: 2, queryHeads: 2, heads: 2, headDim: 8)
        for parameter in method.row.parameters {
            let plan = try method.plan(shape)
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

    @Test(arguments: AnyMethod.all) func anotherMethodsParameterIsRefused(_ method: AnyMethod) throws {
        let row = method.row
        let plan = try method.plan(ModelShape(layers: 1, queryHeads: 1, heads: 1, headDim: 8))
        let foreign = Registry.rows.flatMap(\.parameters).filter { other in
            !row.parameters.contains { $0.id == other.id }
        }
        for id in foreign.map(\.id) + [0, -1, .max, .min] {
            #expect(#expect(throws: KVSieveError.self) { try plan.set(id, 1) }?.kind == .parameter)
            #expect(#expect(throws: KVSieveError.self) { _ = try plan.get(id) }?.kind == .parameter)
        }
    }
}

// The list of methods. A new one is a file in this folder and a line here; ids are pinned.
import KVSieveCore

public enum Registry {
    public static let methods: [any Method.Type] = [
        AhaKV.self, TaskKV.self, WindowKV.self, DynamicKV.self, H2O.self, SnapKV.self, PyramidKV.self, AdaKV.self,
        StreamingLLM.self, TOVA.self, KeyDiff.self, Random.self,
    ]

    public static let rows: [MethodRow] = methods.map { $0.row }

    public static func method(_ id: Int32) throws(KVSieveError) -> any Method.Type {
        for method in methods where method.row.id == id { return method }
        let names = rows.map { "\($0.id) \($0.name)" }.joined(separator: ", ")
        throw KVSieveError(.method, "method is \(id); expected one of \(names)")
    }

    /// "window (102)", "beta (300, of taskkv)"; "9999" if no method has it.
    static func nameOfParameter(_ id: Int32) -> String {
        for row in rows {
            guard let parameter = row.parameters.first(where: { $0.id == id }) else { continue }
            return "\(parameter.name) (\(id)\(id < 200 ? "" : ", of \(row.name)"))"
        }
        return "\(id)"
    }
}

extension MethodRow {
    /// Does it evict while decoding?
    public var decodes: Bool { parameters.contains { $0.id == Shared.decoding.id } }
}

// The list of methods. A new one is a file in this folder and a row here; ids are pinned.
import KVSieveCore

public enum Registry {
    public static let rows: [MethodRow] = [AhaKV.row, TaskKV.row, WindowKV.row, DynamicKV.row, H2O.row]

    public static func row(_ id: Int32) throws(KVSieveError) -> MethodRow {
        for row in rows where row.id == id { return row }
        let names = rows.map { "\($0.id) \($0.name)" }.joined(separator: ", ")
        throw KVSieveError(.method, "method is \(id); expected one of \(names)")
    }
}

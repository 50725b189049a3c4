// The registry's rows as the generator's plain values.

import HeaderComposer
import KVSieveCore
import KVSieveMethods

func headerMethods() -> [HeaderMethod] {
    Registry.rows.map { row in
        HeaderMethod(
            id: row.id, name: "\(row.name)", constant: "KVSIEVE_\(row.name)".uppercased(), summary: "\(row.summary)",
            paper: "\(row.paper)",
            decodes: row.decodes,
            parameters: row.parameters.map {
                HeaderParameter(
                    id: $0.id, name: "\($0.name)", constant: ($0.id < 200 ? "KVSIEVE_\($0.name)" : "KVSIEVE_\(row.name)_\($0.name)").uppercased(), summary: "\($0.summary)",
                    initial: $0.initial, lowest: $0.lowest, highest: $0.highest)
            })
    }
}

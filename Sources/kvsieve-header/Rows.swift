// The registry's rows as the generator's plain values.

import HeaderComposer
import KVSieveCore
import KVSieveMethods

func headerMethods() -> [HeaderMethod] {
    Registry.rows.map { row in
        HeaderMethod(
            id: row.id, name: "\(row.name)", summary: "\(row.summary)", choose: "\(row.choose)", paper: "\(row.paper)",
            decodes: row.decodes,
            parameters: row.parameters.map {
                HeaderParameter(
                    id: $0.id, name: "\($0.name)", summary: "\($0.summary)", initial: $0.initial, lowest: $0.lowest,
                    highest: $0.highest, kind: $0.kind == .real ? "any" : "\($0.kind)")
            })
    }
}

/// Rows under a head, each column as wide as its widest cell.
struct Table {
    private let head: [String]
    private let rows: [[String]]

    init(_ head: [String], _ rows: () -> [[String]]) {
        self.head = head
        self.rows = rows()
    }

    var lines: [String] {
        let all = [head] + rows
        let widths = head.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        return all.map { row in
            zip(row, widths).enumerated().map { column, cell in
                column == head.count - 1 ? cell.0 : cell.0 + String(repeating: " ", count: cell.1 - cell.0.count)
            }.joined(separator: "  ")
        }
    }

    func print(whenEmpty text: String) {
        Terminal.say(rows.isEmpty ? text : lines.joined(separator: "\n"))
    }
}

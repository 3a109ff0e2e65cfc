//! A table of text: columns as wide as their widest cell, numbers to the right.

/// Rows of cells under a header.
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(header: &[&str]) -> Table {
        Table { header: header.iter().map(|cell| (*cell).to_owned()).collect(), rows: Vec::new() }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub fn render(&self) -> String {
        let mut widths: Vec<usize> = self.header.iter().map(|cell| cell.chars().count()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let numeric: Vec<bool> = (0..widths.len())
            .map(|n| {
                let cells = || self.rows.iter().filter_map(|row| row.get(n));
                cells().any(|cell| !cell.is_empty())
                    && cells().all(|cell| cell.chars().all(|c| "0123456789.,-%+ ".contains(c)))
            })
            .collect();
        let line = |cells: &[String]| {
            let cells = cells.iter().enumerate().map(|(n, cell)| {
                let pad = " ".repeat(widths[n].saturating_sub(cell.chars().count()));
                if numeric[n] { format!("{pad}{cell}") } else { format!("{cell}{pad}") }
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let mut lines = vec![line(&self.header)];
        lines.extend(self.rows.iter().map(|row| line(row)));
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_to_the_right() {
        let mut table = Table::new(&["name", "rows"]);
        table.row(["a".into(), "1".into()]);
        table.row(["longer".into(), "1,000".into()]);
        assert_eq!(table.render(), "name     rows\na           1\nlonger  1,000");
    }
}

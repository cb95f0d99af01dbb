// Copyright 2023 Les auteurs de Pomme
//
// Licensed under the Apache License, Version 2.0, with LLVM exceptions.
//
// Un panier garde les pommes dans l'ordre de la cueillette.

/// Une pomme, avec son poids en grammes.
#[derive(Clone, Debug, PartialEq)]
pub struct Pomme {
    pub variete: String,
    pub poids: u32,
}

/// Le panier refuse ce qui dépasse sa limite, et dit combien il reste.
pub struct Panier {
    limite: u32,
    pommes: Vec<Pomme>,
}

impl Panier {
    pub fn nouveau(limite: u32) -> Self {
        Panier { limite, pommes: Vec::new() }
    }

    pub fn poids(&self) -> u32 {
        self.pommes.iter().map(|pomme| pomme.poids).sum()
    }

    pub fn ajouter(&mut self, pomme: Pomme) -> Result<u32, u32> {
        let reste = self.limite - self.poids();
        if pomme.poids > reste {
            return Err(reste);
        }
        self.pommes.push(pomme.clone());
        Ok(reste - pomme.poids)
    }
}

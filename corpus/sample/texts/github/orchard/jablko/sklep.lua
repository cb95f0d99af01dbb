--[[
  Copyright (c) 2022 Autorzy Jabłka
  License: MIT
]]

-- Sklep liczy jabłka i podaje cenę w groszach.
local sklep = { cena = 120, zapas = 40 }

function sklep.kup(ile)
  if ile > sklep.zapas then
    return nil, "za mało jabłek: zostało " .. sklep.zapas
  end
  sklep.zapas = sklep.zapas - ile
  return ile * sklep.cena
end

return sklep
